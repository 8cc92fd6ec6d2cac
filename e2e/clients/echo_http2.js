// Echoes through WebSockets in streams of one HTTP/2 connection: node's own `http2` client (prior
// knowledge), with the framing of the `ws` library.
//
// usage: NODE_PATH=…/node_modules node echo_http2.js URL PATH [SUBPROTOCOL…]
//
// Prints one JSON line: what came back in each of two streams, what an ordinary request got, and
// that the second stream goes on after a reset of the first.
'use strict';
const http2 = require('http2');
const WebSocket = require('ws');

const [url, path, ...subprotocols] = process.argv.slice(2);
const blob = Buffer.alloc(100000, 'tidegate');
const session = http2.connect(url);

setTimeout(() => fail('not done within 20 s'), 20000).unref();
session.on('error', (error) => fail(error.message));

function fail(text) {
  console.error(text);
  process.exit(1);
}

function open() {
  return new Promise((resolve) => {
    const stream = session.request(
      {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':path': path,
        'sec-websocket-version': '13',
        ...(subprotocols.length && { 'sec-websocket-protocol': subprotocols.join(', ') }),
      },
      { endStream: false },
    );
    stream.on('response', (headers) => {
      if (headers[':status'] !== 200) fail(`refused with ${headers[':status']}`);
      // The library would dial by itself; it is given a connection instead, as its server is.
      const socket = new WebSocket(null, undefined, {});
      socket._isServer = false;
      socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 0, skipUTF8Validation: false });
      resolve({ socket, stream, subprotocol: headers['sec-websocket-protocol'] });
    });
  });
}

function next(socket, event) {
  return new Promise((resolve) => socket.once(event, (...seen) => resolve(seen)));
}

async function echo(socket, message) {
  socket.send(message);
  const [data, isBinary] = await next(socket, 'message');
  return isBinary ? data : data.toString();
}

function ordinary() {
  return new Promise((resolve) => {
    const stream = session.request({ ':path': path });
    let body = '';
    let status;
    stream.on('response', (headers) => (status = headers[':status']));
    stream.on('data', (data) => (body += data));
    stream.on('end', () => resolve({ status, body }));
  });
}

session.once('remoteSettings', async (settings) => {
  if (!settings.enableConnectProtocol) fail('WebSockets are not advertised');
  const [first, second] = await Promise.all([open(), open()]);
  const seen = {
    first: await echo(first.socket, 'grüße'),
    second: await echo(second.socket, 'aus einem anderen Strom'),
    subprotocol: first.subprotocol,
    ordinary: await ordinary(),
  };
  first.socket.on('error', () => {});
  first.stream.close(http2.constants.NGHTTP2_CANCEL);
  seen.binary = blob.equals(await echo(second.socket, blob));
  second.socket.close(1000, 'done');
  [seen.close] = await next(second.socket, 'close');
  console.log(JSON.stringify(seen));
  session.close();
});
