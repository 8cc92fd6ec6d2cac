// Plays an application with a SignalR hub and the service behind it, as the SignalR protocol says:
// negotiation by redirect, negotiation with the service, and the hub itself over WebSockets.
//
// usage: NODE_PATH=…/node_modules node signalr_service.js
//
// Prints "listening on PORT", then one JSON line for each request it gets. A failure is played
// when the client's Authorization asks for it: `Bearer NAME` with a name out of APP or SERVICE.
'use strict';
const http = require('http');
const { WebSocketServer } = require('ws');

const RECORD_SEPARATOR = '\x1e'; // ends each message of the hub protocol
const SERVICE_TOKEN = 'token-of-the-application';

const say = (line) => console.log(JSON.stringify(line));
const body = (response, status, value, headers = {}) => {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(text);
};

// What the application answers instead of a redirect to the service.
const APP = {
  401: (r) => body(r, 401, {}, { 'WWW-Authenticate': 'Bearer realm="chat"' }),
  403: (r) => body(r, 403, {}),
  429: (r) => body(r, 429, {}, { 'Retry-After': '17' }),
  503: (r) => body(r, 503, {}, { 'Retry-After': '18' }),
  500: (r) => body(r, 500, {}),
  error: (r) => body(r, 200, { error: 'no such hub' }),
  'no-token': (r) => body(r, 200, { url: 'https://x.example/client/?hub=chat' }),
  elsewhere: (r) => body(r, 200, { url: 'https://evil.example/client/?hub=chat', accessToken: 'x' }),
  'no-json': (r) => body(r, 200, '<html>'),
  list: (r) => body(r, 200, [1, 2]),
  number: (r) => body(r, 200, { url: 7, accessToken: 'x' }),
  silent: () => {},
  hangup: (r) => r.destroy(),
};
// What the service answers instead of a connection.
const SERVICE = {
  'service-401': (r) => body(r, 401, {}),
  'service-429': (r) => body(r, 429, {}, { 'Retry-After': '19' }),
  'service-error': (r) => body(r, 200, { error: 'full' }),
  'service-silent': () => {},
  'no-websockets': (r) =>
    body(r, 200, {
      negotiateVersion: 1, connectionId: 'c', connectionToken: 't',
      availableTransports: [{ transport: 'LongPolling', transferFormats: ['Text'] }],
    }),
  'no-transports': (r) => body(r, 200, { connectionId: 'c' }),
};

let connections = 0;
const tokens = new Map(); // connectionToken → user: each is good once

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const authorization = request.headers.authorization || '';
  say({ method: request.method, target: request.url, authorization });
  const version = url.searchParams.get('negotiateVersion');
  if (request.method === 'POST' && url.pathname === '/chat/negotiate' && version === '1') {
    const name = authorization.replace('Bearer ', '');
    if (APP[name]) return APP[name](response);
    const port = server.address().port;
    const query = `hub=chat&asrs.op=%2Fchat&negotiateVersion=1&asrs_request_id=${encodeURIComponent('a+b/c=')}`;
    const failing = SERVICE[name] ? `&fail=${name}` : '';
    const token = SERVICE_TOKEN + '.' + Buffer.from(name).toString('base64url');
    return body(response, 200, {
      negotiateVersion: 0,
      url: `http://127.0.0.1:${port}/client/?${query}${failing}`,
      accessToken: token,
    });
  }
  if (request.method === 'POST' && url.pathname === '/client/negotiate' && version === '1') {
    if (!authorization.startsWith(`Bearer ${SERVICE_TOKEN}.`)) return body(response, 401, {});
    const failure = SERVICE[url.searchParams.get('fail')];
    if (failure) return failure(response);
    connections += 1;
    const connectionToken = `token-${connections}/=`;
    tokens.set(connectionToken, Buffer.from(authorization.split('.')[1], 'base64url').toString());
    return body(response, 200, {
      negotiateVersion: 1, connectionId: `id-${connections}`, connectionToken,
      availableTransports: [
        { transport: 'WebSockets', transferFormats: ['Text', 'Binary'] },
        { transport: 'LongPolling', transferFormats: ['Text', 'Binary'] },
      ],
    });
  }
  return body(response, 404, {});
});

const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url, 'http://localhost');
  const get = (name) => url.searchParams.getAll(name).join(',');
  const user = tokens.get(get('id'));
  // Programs put the token into a header, browsers into the query; anybody else's is not accepted.
  const header = (request.headers.authorization || '').replace('Bearer ', '');
  const shown = [header, get('access_token')].filter((token) => token);
  tokens.delete(get('id'));
  const good =
    url.pathname === '/client/' && user !== undefined && get('hub') === 'chat' &&
    get('asrs.op') === '/chat' && get('asrs_request_id') === 'a+b/c=' &&
    shown.every((token) => token.startsWith(`${SERVICE_TOKEN}.`)) && shown.length === 1;
  say({ upgrade: request.url, good });
  if (!good) {
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    return;
  }
  sockets.handleUpgrade(request, socket, head, (ws) => hub(ws, user));
});

// The JSON hub protocol: a handshake, then invocations.
function hub(ws, user) {
  const send = (message) => ws.send(JSON.stringify(message) + RECORD_SEPARATOR);
  let greeted = false;
  ws.on('message', (data) => {
    for (const text of data.toString().split(RECORD_SEPARATOR).filter((part) => part)) {
      const message = JSON.parse(text);
      if (!greeted) {
        greeted = true;
        send(message.protocol === 'json' ? {} : { error: 'json only' });
      } else if (message.type === 1) {
        send({ type: 3, invocationId: message.invocationId, result: `${user}: ${message.arguments[0]}` });
        send({ type: 1, target: 'said', arguments: [message.arguments[0]] });
      }
    }
  });
}

server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
