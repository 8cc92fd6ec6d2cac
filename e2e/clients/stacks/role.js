// What the programs of the stacks share. Each is an application that speaks one stack's protocol with
// the stack's own library, in one of two roles:
//
//   NODE_PATH=…/node_modules node STACK.js serve          prints "listening on PORT"
//   NODE_PATH=…/node_modules node STACK.js talk URL ARG…  prints "drain", then one JSON line
//
// Behind "drain" the client goes on once the gateway has closed its connection and is back.
'use strict';
const crypto = require('crypto');

const LIMIT = +process.env.LIMIT || 25000; // milliseconds for one client, from its start to its end

const say = (line) => console.log(line);

function run(roles) {
  const [name, ...args] = process.argv.slice(2);
  if (name === 'serve') {
    roles.serve((server) => say(`listening on ${server.address().port}`));
    return;
  }
  let step = 'start';
  const seen = {};
  setTimeout(() => fail(`not done within ${LIMIT} ms; ${JSON.stringify(seen)}; now at: ${step}`), LIMIT);
  // Runs one step and keeps what it saw under its name.
  const see = async (what, action) => {
    step = what;
    seen[what] = await action();
  };
  roles.talk(see, ...args).then(
    () => { say(JSON.stringify(seen)); process.exit(0); },
    (error) => fail(`${step}: ${error.stack || error.message || error}`),
  );
}

function fail(why) {
  console.error(why);
  process.exit(1);
}

// One event of an emitter; its arguments.
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

// 1 MiB that does not compress.
const blob = () => crypto.randomBytes(1 << 20);

module.exports = { run, say, once, blob };
