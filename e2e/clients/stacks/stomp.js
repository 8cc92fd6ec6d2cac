// The stack: @stomp/stompjs against a broker (RabbitMQ with its Web STOMP plugin).
'use strict';
const WebSocket = require('ws');
const { Client } = require('@stomp/stompjs');
const { run, say, once, blob } = require('./role');

async function talk(see, url, key) {
  const target = `${url}?subscription-key=${key}`;
  const told = { connect: () => {}, error: () => {}, close: () => {} };
  const next = (event) => new Promise((resolve) => { told[event] = resolve; });
  let socket;
  const client = new Client({
    webSocketFactory: () => { socket = new WebSocket(target, ['v12.stomp', 'v11.stomp', 'v10.stomp']); return socket; },
    connectHeaders: { login: 'guest', passcode: 'guest', host: '/' },
    heartbeatIncoming: 400, heartbeatOutgoing: 400, reconnectDelay: 100, forceBinaryWSFrames: true,
    onConnect: (frame) => told.connect(frame),
    onStompError: (frame) => told.error(frame),
    onWebSocketClose: (event) => told.close(event),
  });
  const connected = next('connect');
  client.activate();
  const hello = await connected;
  const message = (destination, headers) => {
    let subscription;
    const got = new Promise((resolve) => { subscription = client.subscribe(destination, resolve, headers); });
    return got.then((frame) => { subscription.unsubscribe(); return frame; });
  };
  const receipt = (id) => new Promise((resolve) => client.watchForReceipt(id, resolve));
  await see('subprotocol', () => socket.protocol);
  await see('version', () => hello.headers.version);
  await see('text', async () => {
    const got = message('/queue/text');
    client.publish({ destination: '/queue/text', body: 'grüße', headers: { 'x-odd': 'a:b\nc\\d' } });
    const { body, headers } = await got;
    return body === 'grüße' && headers['x-odd'] === 'a:b\nc\\d';
  });
  await see('large', async () => {
    const [data, got] = [blob(), message('/queue/large')];
    client.publish({ destination: '/queue/large', binaryBody: data });
    return data.equals(Buffer.from((await got).binaryBody));
  });
  await see('receipt', async () => {
    const done = receipt('r1');
    client.publish({ destination: '/queue/kept', body: 'kept', headers: { receipt: 'r1' } });
    return (await done).headers['receipt-id'];
  });
  // A message that is given back comes again.
  await see('redelivered', () => new Promise((resolve) => {
    let count = 0;
    client.subscribe('/queue/kept', (frame) => {
      count += 1;
      if (count === 1) frame.nack({ requeue: 'true' });
      else { frame.ack(); resolve(frame.body); }
    }, { ack: 'client-individual' });
  }));
  await see('inOrder', async () => {
    const got = [];
    const all = new Promise((resolve) => {
      client.subscribe('/queue/many', (frame) => { got.push(+frame.body); if (got.length === 200) resolve(); });
    });
    for (let number = 0; number < 200; number += 1) client.publish({ destination: '/queue/many', body: String(number) });
    await all;
    return got.every((number, index) => number === index);
  });
  await see('heartbeats', async () => {
    for (let count = 0; count < 3;) {
      const [data] = await once(socket, 'message');
      if (Buffer.from(data).equals(Buffer.from('\n'))) count += 1;
    }
    return socket.readyState === WebSocket.OPEN;
  });
  await see('error', async () => {
    const error = next('error');
    client.subscribe('/nonsense', () => {});
    return (await error).headers.message;
  });
  // The broker ends the connection of a client that does not send the heart-beats it promised.
  await see('brokersClose', async () => {
    const silent = new WebSocket(target, ['v12.stomp']);
    const hello = 'CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\nhost:/\nheart-beat:200,0\n\n\0';
    silent.on('open', () => silent.send(hello));
    const [code, reason] = await once(silent, 'close');
    return `${code} ${reason}`;
  });
  await see('otherSubprotocol', async () => {
    const refused = new WebSocket(target, ['chat']);
    refused.on('error', () => {});
    const [, response] = await once(refused, 'unexpected-response');
    return response.statusCode;
  });
  const [closed, back] = [next('close'), next('connect')];
  say('drain');
  await see('drain', async () => (await closed).code);
  await back;
  await see('after', async () => {
    const got = message('/queue/text');
    client.publish({ destination: '/queue/text', body: 'again' });
    return (await got).body;
  });
  await client.deactivate();
}

run({ talk });
