// The stack: Phoenix' own client against a server of its channels (phoenix.py).
'use strict';
const WebSocket = require('ws');
const { Socket } = require('phoenix');
const { run, say, once, blob } = require('./role');

async function talk(see, url, csrf, token) {
  const connect = (params) => {
    const socket = new Socket(url, {
      transport: WebSocket, params, heartbeatIntervalMs: 300, reconnectAfterMs: () => 100, rejoinAfterMs: () => 100,
    });
    socket.connect();
    return socket;
  };
  const settled = (push) => new Promise((resolve, reject) => {
    push.receive('ok', resolve).receive('error', reject).receive('timeout', () => reject(new Error('timeout')));
  });
  const join = (socket, csrfToken) => socket.channel('lv:harbour', {
    url: 'http://harbour.example/harbour', params: { _csrf_token: csrfToken },
  });
  const socket = connect({ token });
  const channel = join(socket, csrf);
  const event = (name, value) => settled(channel.push('event', { type: 'click', event: name, value }));
  await see('join', async () => (await settled(channel.join())).rendered[0]);
  await see('protocol', () => new URL(socket.conn.url).searchParams.get('vsn'));
  await see('text', async () => (await event('echo', { text: 'grüße' })).diff[0]);
  await see('large', async () => {
    const text = blob().toString('base64');
    return (await event('echo', { text })).diff[0] === text;
  });
  await see('inOrder', async () => {
    const numbers = await Promise.all(Array.from({ length: 200 }, (_, number) => event('echo', { text: `n${number}` })));
    return numbers.every(({ diff }, number) => diff[0] === `n${number}`);
  });
  await see('push', async () => {
    const pushed = new Promise((resolve) => channel.on('diff', resolve));
    await event('later', {});
    return (await pushed)[0];
  });
  await see('heartbeat', async () => {
    for (;;) {
      const [data] = await once(socket.conn, 'message');
      const [, , topic, name] = JSON.parse(data);
      if (topic === 'phoenix' && name === 'phx_reply') return socket.isConnected();
    }
  });
  // The server ends a connection whose channel shows a wrong token.
  await see('serversClose', async () => {
    const other = connect({ token });
    const closed = new Promise((resolve) => other.onClose(resolve));
    join(other, 'wrong').join();
    const { code } = await closed;
    other.disconnect();
    return code;
  });
  await see('noToken', async () => {
    const other = connect({});
    const error = await new Promise((resolve) => other.onError(resolve));
    other.disconnect();
    return error.message;
  });
  const closed = new Promise((resolve) => socket.onClose(resolve));
  say('drain');
  await see('drain', async () => (await closed).code);
  // The client connects and joins again by itself.
  await see('after', async () => {
    while (!(socket.isConnected() && channel.state === 'joined')) await new Promise((resolve) => setTimeout(resolve, 50));
    return (await event('echo', { text: 'again' })).diff[0];
  });
  await new Promise((resolve) => socket.disconnect(resolve));
}

run({ talk });
