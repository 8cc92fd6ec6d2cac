// The stack: graphql-ws (subprotocol graphql-transport-ws) on both sides, over `ws`.
'use strict';
const WebSocket = require('ws');
const { buildSchema } = require('graphql');
const { createClient } = require('graphql-ws');
const { useServer } = require('graphql-ws/use/ws');
const { run, say, once, blob } = require('./role');

const schema = buildSchema(`
  type Query { echo(text: String!): String }
  type Subscription { count(to: Int!): Int, ticks: Int }
`);
async function* count({ to }) {
  for (let number = 1; number <= to; number += 1) yield { count: number };
}
async function* ticks() {
  for (let number = 1; ; number += 1) {
    yield { ticks: number };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function serve(listening) {
  const server = new WebSocket.Server({ host: '127.0.0.1', port: 0, path: '/graphql', maxPayload: 8 << 20 });
  useServer({
    schema,
    roots: { query: { echo: ({ text }) => text }, subscription: { count, ticks } },
    connectionInitWaitTimeout: 500,
    onConnect: (context) => context.connectionParams?.word === 'open sesame',
  }, server, 300);
  server.on('listening', () => listening(server));
}

async function talk(see, url) {
  const connect = (options) => createClient({
    url, webSocketImpl: WebSocket, lazy: false, connectionParams: { word: 'open sesame' },
    shouldRetry: () => true, retryAttempts: 50, retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)), onNonLazyError: () => {}, ...options,
  });
  // All results of an operation, or its first ones.
  const results = async (client, payload, most = Infinity) => {
    const all = [];
    for await (const result of client.iterate(payload)) {
      if (result.errors) throw new Error(JSON.stringify(result.errors));
      all.push(result.data);
      if (all.length === most) break;
    }
    return all;
  };
  // How the server ends a connection on which `message` is the first that it gets.
  const ended = async (message) => {
    const socket = new WebSocket(url, ['graphql-transport-ws']);
    if (message) socket.on('open', () => socket.send(JSON.stringify(message)));
    const [code, reason] = await once(socket, 'close');
    return `${code} ${reason}`;
  };
  let pongs = 0;
  let closed;
  const client = connect({ keepAlive: 200, on: { pong: (received) => { pongs += received; }, closed: (event) => closed?.(event) } });
  const query = 'query($text: String!) { echo(text: $text) }';
  await see('query', async () => (await results(client, { query, variables: { text: 'grüße' } }))[0].echo);
  await see('large', async () => {
    const text = blob().toString('base64');
    return (await results(client, { query, variables: { text } }))[0].echo === text;
  });
  await see('subscription', async () => (await results(client, { query: 'subscription { count(to: 100) }' })).map((data) => data.count).at(-1));
  await see('completedByClient', async () => (await results(client, { query: 'subscription { ticks }' }, 3)).length);
  await see('error', () => results(client, { query: '{ nothing }' }).catch((error) => (error[0] || error).message));
  await see('pongs', async () => { while (pongs < 3) await new Promise((resolve) => setTimeout(resolve, 20)); return true; });
  await see('badWord', () => ended({ type: 'connection_init', payload: { word: 'x' } }));
  await see('noInit', () => ended());
  await see('subscribedTooEarly', () => ended({ id: '1', type: 'subscribe', payload: { query: '{ echo(text: "a") }' } }));
  await see('invalid', () => ended({ type: 'nonsense' }));
  await see('legacySubprotocol', async () => {
    const socket = new WebSocket(url, ['graphql-ws']);
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    return response.statusCode;
  });
  // A live subscription is made again by the client's own retry.
  const live = client.iterate({ query: 'subscription { ticks }' });
  await live.next();
  const drained = new Promise((resolve) => { closed = resolve; });
  say('drain');
  await see('drain', async () => (await drained).code);
  await see('after', async () => {
    for await (const result of live) if (result.data.ticks === 1) return 'began anew';
    return 'ended';
  });
  await client.dispose();
}

run({ serve, talk });
