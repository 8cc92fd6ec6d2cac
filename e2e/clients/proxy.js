// An HTTP proxy that nobody here wrote (proxy-chain), which wants user "gate" and password
// "hunter2", and tells on standard output what it was asked for.
const { Server } = require("proxy-chain");

const server = new Server({
  host: "127.0.0.1",
  port: 0,
  prepareRequestFunction: ({ username, password, hostname, port, isHttp }) => {
    const welcome = username === "gate" && password === "hunter2";
    console.log(`${welcome ? "asked" : "refused"} ${hostname}:${port} ${isHttp ? "http" : "tunnel"}`);
    return { requestAuthentication: !welcome };
  },
});
server.listen().then(() => console.log(`listening on ${server.port}`));
