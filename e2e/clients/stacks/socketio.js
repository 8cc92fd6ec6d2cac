// The stack: Socket.IO 4 on both sides. Its transport is WebSocket from the start: long polling is
// no WebSocket, and its upgrade needs both on one URL.
'use strict';
const http = require('http');
const { Server } = require('socket.io');
const { io } = require('socket.io-client');
const { run, say, once, blob } = require('./role');

function serve(listening) {
  const server = http.createServer();
  const all = new Server(server, {
    transports: ['websocket'], maxHttpBufferSize: 8 << 20, pingInterval: 300, pingTimeout: 5000,
  });
  const each = (socket) => {
    socket.on('echo', (data, answer) => answer(data));
    socket.on('ask me', async (answer) => answer(await socket.timeout(5000).emitWithAck('question', 'who?')));
    socket.on('join', (room, answer) => { socket.join(room); answer(); });
    socket.on('tell', (room, text) => socket.to(room).emit('told', text));
    socket.on('leave', () => socket.disconnect(true));
  };
  all.on('connection', each);
  all.of('/admin').use((socket, next) => next(socket.handshake.auth.word === 'open sesame' ? undefined : new Error('wrong word')));
  all.of('/admin').on('connection', each);
  server.listen(0, '127.0.0.1', () => listening(server));
}

async function talk(see, url, token) {
  const options = {
    transports: ['websocket'], query: { access_token: token }, reconnectionDelay: 100, reconnectionDelayMax: 200, forceNew: true,
  };
  const failure = async (socket) => {
    const [error] = await once(socket, 'connect_error');
    socket.disconnect();
    return (error.description && error.description.message) || error.message;
  };
  const ask = (socket, ...args) => socket.timeout(8000).emitWithAck(...args);
  const socket = io(url, options);
  await once(socket, 'connect');
  await see('transport', () => socket.io.engine.transport.name);
  await see('text', () => ask(socket, 'echo', 'grüße'));
  await see('large', async () => { const data = blob(); return data.equals(await ask(socket, 'echo', data)); });
  await see('nested', async () => {
    const back = await ask(socket, 'echo', { list: [Buffer.from('ab'), 7], text: 'x' });
    return Buffer.isBuffer(back.list[0]) && back.list[0].toString() + back.list[1] + back.text;
  });
  socket.on('question', (text, answer) => answer(`${text} me`));
  await see('serversAck', () => ask(socket, 'ask me'));
  await see('heartbeat', () => new Promise((resolve) => {
    let count = 0;
    socket.io.on('ping', () => { count += 1; if (count === 3) resolve(socket.connected); });
  }));
  const other = io(url, options);
  await once(other, 'connect');
  await ask(other, 'join', 'bridge');
  await see('room', async () => { const told = once(other, 'told'); socket.emit('tell', 'bridge', 'land ho'); return (await told)[0]; });
  await see('namespace', async () => {
    const admin = socket.io.socket('/admin', { auth: { word: 'open sesame' } });
    await once(admin, 'connect');
    return ask(admin, 'echo', 'from admin');
  });
  await see('namespaceRefused', () => failure(io(new URL('/admin', url).href, { ...options, auth: { word: 'x' } })));
  await see('serversClose', async () => { const left = once(other, 'disconnect'); other.emit('leave'); return (await left)[0]; });
  await see('noToken', () => failure(io(url, { ...options, query: {} })));
  say('drain');
  await see('drain', async () => (await once(socket, 'disconnect'))[0]);
  await once(socket, 'connect');
  await see('after', () => ask(socket, 'echo', 'again'));
  socket.disconnect();
}

run({ serve, talk });
