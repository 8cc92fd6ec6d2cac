// The stack: Microsoft's own client against a hub made with another's server (e2e/signalr), in
// both hub protocols, JSON and MessagePack. There is no negotiation, which is no WebSocket.
'use strict';
const signalr = require('@microsoft/signalr');
const { MessagePackHubProtocol } = require('@microsoft/signalr-protocol-msgpack');
const { run, say, blob } = require('./role');

async function talk(see, url, token) {
  const connect = async (query, protocol) => {
    const connection = new signalr.HubConnectionBuilder()
      .withUrl(url + query, { skipNegotiation: true, transport: signalr.HttpTransportType.WebSockets })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 100 })
      .withHubProtocol(protocol)
      .withServerTimeout(5000).withKeepAliveInterval(500)
      .configureLogging(signalr.LogLevel.None)
      .build();
    await connection.start();
    return connection;
  };
  // As browsers send it.
  const query = `?access_token=${token}`;
  const json = await connect(query, new signalr.JsonHubProtocol());
  const packed = await connect(query, new MessagePackHubProtocol());
  await see('text', () => json.invoke('Echo', 'grüße'));
  await see('large', async () => { const text = blob().toString('base64'); return (await json.invoke('Echo', text)) === text; });
  await see('binary', async () => { const data = blob(); return data.equals(Buffer.from(await packed.invoke('Bytes', data))); });
  await see('stream', () => new Promise((resolve, reject) => {
    const got = [];
    packed.stream('Count', 100).subscribe({
      next: (number) => got.push(number), error: reject,
      complete: () => resolve(got.length === 100 && got.every((number, index) => number === index)),
    });
  }));
  await see('toAll', async () => {
    const told = Promise.all([json, packed].map((connection) => new Promise((resolve) => connection.on('said', resolve))));
    await json.send('Say', 'land ho');
    return told;
  });
  await see('error', () => json.invoke('Nothing').catch((error) => error.message));
  await see('noToken', () => connect('', new signalr.JsonHubProtocol()).catch((error) => String(error).includes('could not be found on the server')));
  await see('serversClose', async () => {
    const other = await connect(query, new signalr.JsonHubProtocol());
    const closed = new Promise((resolve) => { other.onclose(resolve); other.onreconnecting(resolve); });
    await other.send('Leave');
    const error = await closed;
    await other.stop();
    return error.message.split(':')[0];
  });
  const states = [];
  const back = Promise.all([json, packed].map((connection) => new Promise((resolve) => {
    connection.onreconnecting((error) => states.push(error.message));
    connection.onreconnected(resolve);
  })));
  say('drain');
  await back;
  await see('drain', () => states);
  await see('after', async () => [await json.invoke('Echo', 'again'), Buffer.from(await packed.invoke('Bytes', Buffer.from('again'))).toString()]);
  await json.stop();
  await packed.stop();
}

run({ talk });
