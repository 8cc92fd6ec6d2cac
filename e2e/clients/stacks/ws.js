// The stack: https://github.com/websockets/ws on both sides, with permessage-deflate.
'use strict';
const WebSocket = require('ws');
const { run, say, once, blob } = require('./role');

function serve(listening) {
  const server = new WebSocket.Server({
    host: '127.0.0.1', port: 0, maxPayload: 8 << 20, perMessageDeflate: true,
    handleProtocols: (offered) => [...offered].pop(),
  });
  const orders = {
    leave: (socket) => socket.close(4001, 'as asked'),
    drop: (socket) => socket.terminate(),
    ping: (socket) => { socket.once('pong', (data) => socket.send(`pong ${data}`)); socket.ping('from the server'); },
  };
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      const order = !isBinary && orders[data.toString()];
      if (order) order(socket); else socket.send(data, { binary: isBinary });
    });
  });
  server.on('listening', () => listening(server));
}

async function talk(see, url, key) {
  const open = async (options = {}, protocols = ['chat.v2', 'forbidden']) => {
    const headers = { 'Ocp-Apim-Subscription-Key': key };
    const socket = new WebSocket(url, protocols, { headers, ...options });
    await once(socket, 'open');
    return socket;
  };
  const refused = async (protocols, headers) => {
    const socket = new WebSocket(url, protocols, { headers });
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    return response.statusCode;
  };
  const echo = async (socket, data, options) => {
    socket.send(data, options);
    return (await once(socket, 'message'))[0];
  };
  const end = async (socket) => {
    const [code, reason] = await once(socket, 'close');
    return `${code} ${reason}`;
  };
  let socket = await open();
  await see('subprotocol', () => socket.protocol);
  await see('deflate', () => socket.extensions.includes('permessage-deflate'));
  await see('text', async () => (await echo(socket, 'grüße')).toString());
  await see('large', async () => { const data = blob(); return data.equals(await echo(socket, data)); });
  await see('empty', async () => (await echo(socket, Buffer.alloc(0))).length);
  await see('fragments', async () => {
    socket.send('one, ', { fin: false });
    socket.send('two, ', { fin: false });
    return (await echo(socket, 'three')).toString();
  });
  await see('inOrder', async () => {
    const got = [];
    const all = new Promise((resolve) => socket.on('message', (data) => { got.push(+data); if (got.length === 500) resolve(); }));
    for (let number = 0; number < 500; number += 1) socket.send(String(number));
    await all;
    socket.removeAllListeners('message');
    return got.every((number, index) => number === index);
  });
  await see('clientsPing', async () => { socket.ping('hello'); return (await once(socket, 'pong'))[0].toString(); });
  await see('serversPing', async () => (await echo(socket, 'ping')).toString());
  await see('clientsClose', () => { socket.close(4000, 'enough'); return end(socket); });
  socket = await open({ perMessageDeflate: false });
  await see('plain', async () => { const data = blob(); return socket.extensions === '' && data.equals(await echo(socket, data)); });
  await see('serversClose', () => { socket.send('leave'); return end(socket); });
  socket = await open();
  await see('lostServer', () => { socket.send('drop'); return end(socket); });
  await see('noKey', () => refused(['chat.v2'], {}));
  await see('otherSubprotocol', () => refused(['forbidden'], { 'Ocp-Apim-Subscription-Key': key }));
  socket = await open();
  await echo(socket, 'before');
  say('drain');
  await see('drain', () => end(socket));
  await see('after', async () => {
    for (;;) {
      try {
        const back = new WebSocket(url, ['chat.v2'], { headers: { 'Ocp-Apim-Subscription-Key': key } });
        await new Promise((resolve, reject) => { back.on('open', resolve); back.on('error', reject); });
        return (await echo(back, 'again')).toString();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  });
}

run({ serve, talk });
