// Echoes text and binary through a WebSocket URL with the `ws` library.
//
// usage: NODE_PATH=…/node_modules node echo.js URL [SUBPROTOCOL…]
//
// Prints one JSON line: what came back, the subprotocol, and the close code.
'use strict';
const WebSocket = require('ws');

const [url, ...subprotocols] = process.argv.slice(2);
const socket = new WebSocket(url, subprotocols, { handshakeTimeout: 10000 });
const blob = Buffer.alloc(100000, 'tidegate');
const seen = { text: null, binary: false, pong: false };

const limit = setTimeout(() => {
  console.error('not done within 20 s:', JSON.stringify(seen));
  process.exit(1);
}, 20000);

socket.on('open', () => socket.send('grüße'));
socket.on('message', (data, isBinary) => {
  if (!isBinary) {
    seen.text = data.toString();
    socket.send(blob);
  } else {
    seen.binary = blob.equals(data);
    socket.ping('still there?');
  }
});
socket.on('pong', (data) => {
  seen.pong = data.toString() === 'still there?';
  socket.close(1000, 'done');
});
socket.on('unexpected-response', (_, response) => {
  console.error('refused with', response.statusCode);
  process.exit(1);
});
socket.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
socket.on('close', (code) => {
  clearTimeout(limit);
  console.log(
    JSON.stringify({
      ...seen,
      subprotocol: socket.protocol,
      deflate: socket.extensions.includes('permessage-deflate'),
      close: code,
    }),
  );
});
