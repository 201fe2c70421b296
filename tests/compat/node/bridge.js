// Calls openvidu-node-client for the tests. Each line in is a request, each line out its answer:
//
//   {"id": 1, "do": "open", "arguments": [URL, SECRET]}                  a new OpenVidu
//   {"id": 2, "do": "call", "on": 1, "method": …, "arguments": […]}      what the promise gives
//   {"id": 3, "do": "read", "on": 1}                                     its public properties
//   {"id": 4, "do": "pick", "on": 1, "sessionId": …}                     one of its activeSessions
//
//   {"id": …, "value": …} or {"id": …, "error": the message of the Error}
//
// An OpenVidu or a Session stays here; the tests get {"object": NUMBER} and put it into "on".

const { createInterface } = require("node:readline");
const { OpenVidu, Session } = require("openvidu-node-client");

const objects = [];

const actions = {
  open({ arguments: words }) {
    const ov = new OpenVidu(...words);
    ov.enableProdMode();
    return ov;
  },
  call: ({ on, method, arguments: words }) => objects[on][method](...words),
  read: ({ on }) => ({ ...objects[on] }),
  pick: ({ on, sessionId }) => objects[on].activeSessions.find(session => session.sessionId === sessionId),
};

function told(value) {
  if (!(value instanceof OpenVidu || value instanceof Session)) return value;
  if (!objects.includes(value)) objects.push(value);
  return { object: objects.indexOf(value) };
}

function answer(fields) {
  // Without what leads back: a Session knows its OpenVidu.
  process.stdout.write(JSON.stringify(fields, (key, value) => key === "ov" ? undefined : value) + "\n");
}

createInterface({ input: process.stdin }).on("line", async line => {
  const { id, do: action, ...request } = JSON.parse(line);
  try {
    answer({ id, value: told(await actions[action](request)) });
  } catch (error) {
    answer({ id, error: error.message });
  }
});
