// The stack: MQTT.js against a broker (Aedes over `ws`), with the subprotocol mqtt.
'use strict';
const http = require('http');
const WebSocket = require('ws');
const { Aedes } = require('aedes');
const mqtt = require('mqtt');
const { run, say, once, blob } = require('./role');

async function serve(listening) {
  const broker = await Aedes.createBroker({ heartbeatInterval: 500 });
  const server = http.createServer();
  const sockets = new WebSocket.Server({ server, maxPayload: 8 << 20 });
  sockets.on('connection', (socket, request) => {
    const stream = WebSocket.createWebSocketStream(socket);
    stream.on('error', () => {}); // a client that is lost
    broker.handle(stream, request);
  });
  server.listen(0, '127.0.0.1', () => listening(server));
}

async function talk(see, url, key) {
  const target = `${url}?subscription-key=${key}`;
  const connect = async (clientId, options = {}) => {
    const client = mqtt.connect(target, { clientId, keepalive: 1, reconnectPeriod: 100, protocolVersion: 4, ...options });
    await once(client, 'connect');
    return client;
  };
  const message = (client) => once(client, 'message').then(([topic, payload, packet]) => ({ topic, payload, packet }));
  const ann = await connect('ann', { clean: false, resubscribe: false });
  const bob = await connect('bob', {
    reconnectPeriod: 0,
    will: { topic: 'lost/bob', payload: 'adrift', qos: 1, retain: false },
  });
  await ann.subscribeAsync(['sea/#', 'lost/#'], { qos: 2 });
  for (const qos of [0, 1, 2]) {
    await see(`qos${qos}`, async () => {
      const got = message(ann);
      await bob.publishAsync('sea/state', `calm ${qos}`, { qos });
      const { payload, packet } = await got;
      return `${payload} ${packet.qos}`;
    });
  }
  await see('large', async () => {
    const [data, got] = [blob(), message(ann)];
    await bob.publishAsync('sea/chart', data, { qos: 1 });
    return data.equals((await got).payload);
  });
  await see('inOrder', async () => {
    const got = [];
    const all = new Promise((resolve) => ann.on('message', (_, payload) => { got.push(+payload); if (got.length === 300) resolve(); }));
    for (let number = 0; number < 300; number += 1) bob.publish('sea/depth', String(number), { qos: 0 });
    await all;
    ann.removeAllListeners('message');
    return got.every((number, index) => number === index);
  });
  await see('keepAlive', async () => {
    for (;;) {
      const [packet] = await once(bob, 'packetreceive');
      if (packet.cmd === 'pingresp') return packet.cmd;
    }
  });
  await see('will', async () => {
    const got = message(ann);
    bob.stream.destroy(); // gone without DISCONNECT
    const { topic, payload } = await got;
    return `${topic} ${payload}`;
  });
  // A second client of one name takes the connection of the first, which the broker closes.
  await see('brokersClose', async () => {
    const carl = await connect('carl', { reconnectPeriod: 0 });
    const left = once(carl, 'close');
    const second = await connect('carl', { reconnectPeriod: 0 });
    await left;
    await second.endAsync();
    return 'closed';
  });
  await see('otherSubprotocol', async () => {
    const socket = new WebSocket(target, ['chat']);
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    return response.statusCode;
  });
  say('drain');
  await once(ann, 'close');
  const [connack] = await once(ann, 'connect');
  await see('sessionPresent', () => connack.sessionPresent);
  await see('after', async () => {
    const dora = await connect('dora');
    const got = message(ann);
    await dora.publishAsync('sea/state', 'again', { qos: 1 });
    await dora.endAsync();
    return (await got).payload.toString();
  });
  await ann.endAsync();
}

run({ serve, talk });
