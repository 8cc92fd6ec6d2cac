// Plays a realtime model in one region: accepts handshakes that bring its token, or has no room.
//
// usage: NODE_PATH=…/node_modules node realtime_service.js REGION serves | full
//
// Prints "listening on PORT", then one JSON line for each handshake.
'use strict';
const http = require('http');
const { WebSocketServer } = require('ws');

const [region, mood] = process.argv.slice(2);
const TOKEN = 'token-of-the-gateway';

const server = http.createServer((_, response) => response.writeHead(404).end());
const sockets = new WebSocketServer({
  noServer: true,
  // The first that is not a key, as the real service does.
  handleProtocols: (offers) => [...offers].find((name) => name === 'realtime') || false,
});

const refuse = (socket, status, fields = '') =>
  socket.end(`HTTP/1.1 ${status}\r\n${fields}Content-Length: 0\r\nConnection: close\r\n\r\n`);

server.on('upgrade', (request, socket, head) => {
  console.log(JSON.stringify({ region, target: request.url, headers: request.headers }));
  if (mood === 'full') return refuse(socket, '429 Too Many Requests', 'Retry-After: 60\r\n');
  if (request.headers.authorization !== `Bearer ${TOKEN}`) return refuse(socket, '401 Unauthorized');
  sockets.handleUpgrade(request, socket, head, (websocket) => serve(websocket, request));
});

function serve(websocket, request) {
  const model = new URL(request.url, 'http://localhost').searchParams.get('model');
  const say = (event) => websocket.send(JSON.stringify(event));
  let said = '';
  say({ type: 'session.created', event_id: 'e1', session: { type: 'realtime', model } });
  websocket.on('message', (data) => {
    const event = JSON.parse(data);
    if (event.type === 'conversation.item.create') said = event.item.content[0].text;
    if (event.type !== 'response.create') return;
    for (const delta of [`${region}: `, said]) {
      say({ type: 'response.output_text.delta', event_id: 'e2', delta });
    }
    say({ type: 'response.done', event_id: 'e3', response: { status: 'completed' } });
  });
}

server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
