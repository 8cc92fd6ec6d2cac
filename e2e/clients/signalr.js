// Talks to a SignalR hub over a WebSocket with Microsoft's own client library.
//
// usage: NODE_PATH=…/node_modules node signalr.js URL TOKEN (the URL with http, as the library wants it)
//
// Prints one JSON line: what the hub answered and what it sent, or why there was no connection.
'use strict';
const signalr = require('@microsoft/signalr');

const [url, token] = process.argv.slice(2);
const limit = setTimeout(() => {
  console.error('not done within 20 s');
  process.exit(1);
}, 20000);

async function main() {
  const connection = new signalr.HubConnectionBuilder()
    .withUrl(url, {
      skipNegotiation: true,
      transport: signalr.HttpTransportType.WebSockets,
      accessTokenFactory: () => token,
    })
    .configureLogging(signalr.LogLevel.None)
    .build();
  const said = new Promise((resolve) => connection.on('said', resolve));
  await connection.start();
  const result = await connection.invoke('echo', 'grüße');
  const seen = { result, said: await said };
  await connection.stop();
  return seen;
}

main()
  .catch((error) => ({ refused: String(error) }))
  .then((seen) => {
    clearTimeout(limit);
    console.log(JSON.stringify(seen));
    process.exit(0);
  });
