// Talks to a realtime model with OpenAI's own client library.
//
// usage: NODE_PATH=…/node_modules node realtime.js page | server BASE_URL KEY [stay]
//
// A page has nothing but WebSocket, so the key is in a subprotocol; a server sets a header. Prints one JSON
// line: what the model said, or why there was no connection, and the code of the Close. With `stay` it prints
// "answered" and leaves the Close to the other side.
'use strict';
const { OpenAI } = require('openai');
const { OpenAIRealtimeWebSocket } = require('openai/realtime/websocket');
const { OpenAIRealtimeWS } = require('openai/realtime/ws');

const [kind, baseURL, key, stay] = process.argv.slice(2);
const model = 'gpt-realtime';
const limit = setTimeout(() => {
  console.error('not done within 30 s');
  process.exit(1);
}, 30000);

function connect() {
  if (kind === 'page') {
    const client = new OpenAI({ apiKey: key, baseURL, dangerouslyAllowBrowser: true });
    return new OpenAIRealtimeWebSocket({ model }, client);
  }
  const client = new OpenAI({ apiKey: 'unused', baseURL });
  return new OpenAIRealtimeWS({ model, options: { headers: { 'api-key': key } } }, client);
}

const realtime = connect();
const seen = { text: '' };
// Not every WebSocket of node reports a Close after a refusal.
realtime.on('error', (error) => end({ error: error.message || 'refused' }));
realtime.on('session.created', (event) => {
  seen.model = event.session.model;
  const content = [{ type: 'input_text', text: 'grüße' }];
  realtime.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } });
  realtime.send({ type: 'response.create' });
});
realtime.on('response.output_text.delta', (event) => (seen.text += event.delta));
realtime.on('response.done', () => {
  seen.protocol = realtime.socket.protocol;
  if (stay) console.log('answered');
  else realtime.close();
});
realtime.socket.addEventListener('close', ({ code }) => end({ code }));

function end(how) {
  clearTimeout(limit);
  console.log(JSON.stringify({ ...seen, ...how }));
  process.exit(0);
}
