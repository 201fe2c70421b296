// The demo page: one small module that speaks the signaling contract (docs/architecture.md) and
// shows a room. Everything that comes from others is put into the page as text, never as HTML.

const REQUEST_TIMEOUT = 10_000;
const PING_PERIOD = 5_000;
const RETRY_PERIOD = 1_500;

/** JSON-RPC 2.0 over one WebSocket; a lost socket is replaced and the session resumed. */
class Signaling extends EventTarget {
  #url; #socket; #nextId = 0; #pending = new Map(); #pings; #rpcSession; #closed = false;

  constructor(url) { super(); this.#url = url; }

  async open(params) {
    await this.#dial();
    const joined = await this.request("joinRoom", params);
    this.#rpcSession = joined.sessionId;
    return joined;
  }

  request(method, params = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error("Not connected"));
    const id = this.#nextId++;
    this.#socket.send(JSON.stringify({ jsonrpc: "2.0", method, params, id }));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id, (call) => call.reject(new Error(`${method}: no answer`))), REQUEST_TIMEOUT);
      this.#pending.set(id, { resolve, reject, timer });
    });
  }

  close() {
    this.#closed = true;
    clearInterval(this.#pings);
    this.#socket?.close(4102, "Connection closed by client");
  }

  #settle(id, finish) {
    const call = this.#pending.get(id);
    if (!call) return;
    this.#pending.delete(id);
    clearTimeout(call.timer);
    finish(call);
  }

  #dial() {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.#url);
      this.#socket = socket;
      socket.onopen = () => {
        this.#ping({ interval: PING_PERIOD });
        clearInterval(this.#pings);
        this.#pings = setInterval(() => this.#ping(), PING_PERIOD);
        resolve();
      };
      socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
      socket.onclose = () => {
        reject(new Error("The server cannot be reached"));
        if (socket === this.#socket) this.#lost();
      };
    });
  }

  #ping(params) {
    this.request("ping", params).catch(() => this.#socket.close());
  }

  #receive(message) {
    if (message.method) {
      this.dispatchEvent(new CustomEvent(message.method, { detail: message.params }));
    } else if (message.error) {
      this.#settle(message.id, (call) => call.reject(new Error(message.error.message)));
    } else {
      this.#settle(message.id, (call) => call.resolve(message.result));
    }
  }

  async #lost() {
    clearInterval(this.#pings);
    for (const id of [...this.#pending.keys()]) this.#settle(id, (call) => call.reject(new Error("Connection lost")));
    if (this.#closed || !this.#rpcSession) return;
    this.dispatchEvent(new Event("reconnecting"));
    while (!this.#closed) {
      try {
        this.#socket = undefined;
        await this.#dial();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, RETRY_PERIOD));
        continue;
      }
      try {
        await this.request("connect", { sessionId: this.#rpcSession, reconnect: true });
        this.dispatchEvent(new Event("reconnected"));
      } catch {
        this.close();
        this.dispatchEvent(new CustomEvent("ended", { detail: { reason: "networkDisconnect" } }));
      }
      return;
    }
  }
}

/** One participant: joins with a token, publishes at most one stream, subscribes to the others'. */
class Participant extends EventTarget {
  #signaling; #token; #iceServers = []; #publication; #subscriptions = new Map();
  id; #streams = new Map();

  constructor(token) {
    super();
    this.#token = token;
    const { protocol, host, searchParams } = new URL(token);
    this.session = searchParams.get("sessionId");
    this.#signaling = new Signaling(`${protocol}//${host}/openvidu?sessionId=${encodeURIComponent(this.session)}`);
    const on = (name, handle) => this.#signaling.addEventListener(name, ({ detail }) => handle(detail));
    on("participantJoined", (who) => this.#tell("joined", who));
    on("participantPublished", ({ id, streams }) => this.#published(id, streams));
    on("participantUnpublished", ({ connectionId }) => this.#unpublished(connectionId));
    on("participantLeft", ({ connectionId }) => { this.#unpublished(connectionId); this.#tell("left", connectionId); });
    on("participantEvicted", ({ connectionId, reason }) => connectionId === this.id && this.#end(reason));
    on("streamPropertyChanged", (change) => this.#tell("changed", change));
    on("sendMessage", (message) => this.#tell("message", message));
    on("reconnecting", () => this.#tell("status", "Reconnecting…"));
    on("reconnected", () => { this.#tell("status", ""); this.#repair(); });
    on("ended", ({ reason }) => this.#end(reason));
  }

  async join(metadata) {
    const joined = await this.#signaling.open({
      token: this.#token, session: this.session, platform: navigator.userAgent, metadata, secret: "", recorder: false,
    });
    this.id = joined.id;
    this.#iceServers = (joined.customIceServers ?? []).map(({ url, username, credential }) => ({ urls: [url], username, credential }));
    for (const other of joined.value) {
      this.#tell("joined", other);
      if (other.streams) this.#published(other.id, other.streams);
    }
  }

  async publish(media, typeOfVideo) {
    const [audio] = media.getAudioTracks();
    const [video] = media.getVideoTracks();
    const { width = 640, height = 480, frameRate = -1 } = video?.getSettings() ?? {};
    const peer = this.#newPeer();
    for (const track of media.getTracks()) peer.addTransceiver(track, { direction: "sendonly", streams: [media] });
    await peer.setLocalDescription();
    const published = await this.#signaling.request("publishVideo", {
      sdpOffer: peer.localDescription.sdp, doLoopback: false, hasAudio: !!audio, hasVideo: !!video,
      ...(audio && { audioActive: audio.enabled }),
      ...(video && {
        videoActive: video.enabled, typeOfVideo, frameRate: Math.round(frameRate),
        videoDimensions: JSON.stringify({ width, height }),
      }),
    });
    await peer.setRemoteDescription({ type: "answer", sdp: published.sdpAnswer });
    this.#publication = { id: published.id, media, peer };
    this.#watch(this.#publication);
  }

  change(property, newValue, reason) {
    if (!this.#publication) return Promise.resolve();
    return this.#signaling.request("streamPropertyChanged", { streamId: this.#publication.id, property, newValue, reason });
  }

  say(data) {
    return this.#signaling.request("sendMessage", { message: JSON.stringify({ to: [], data, type: "signal:chat" }) });
  }

  async leave() {
    await this.#signaling.request("leaveRoom").catch(() => {});
    this.#end();
  }

  #tell(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }

  #newPeer() { return new RTCPeerConnection({ iceServers: this.#iceServers }); }

  async #published(owner, [stream]) {
    this.#streams.set(owner, stream);
    this.#tell("published", { owner, stream });
  }

  async subscribe(owner) {
    const stream = this.#streams.get(owner);
    const subscription = { id: stream.id, owner };
    this.#subscriptions.set(owner, subscription);
    await this.#negotiate(subscription, false);
  }

  async #negotiate(subscription, reconnect) {
    const { sdpOffer } = await this.#signaling.request("prepareReceiveVideoFrom", { sender: subscription.id, reconnect });
    subscription.peer?.close();
    const peer = subscription.peer = this.#newPeer();
    const media = new MediaStream();
    peer.ontrack = ({ track }) => media.addTrack(track);
    await peer.setRemoteDescription({ type: "offer", sdp: sdpOffer });
    await peer.setLocalDescription();
    const sdpAnswer = peer.localDescription.sdp;
    await (reconnect
      ? this.#signaling.request("reconnectStream", { stream: subscription.id, sdpString: sdpAnswer, forciblyReconnect: false })
      : this.#signaling.request("receiveVideoFrom", { sender: subscription.id, sdpAnswer }));
    this.#watch(subscription);
    this.#tell("playing", { owner: subscription.owner, media });
  }

  async #republish() {
    const { media, id } = this.#publication;
    this.#publication.peer.close();
    const peer = this.#publication.peer = this.#newPeer();
    for (const track of media.getTracks()) peer.addTransceiver(track, { direction: "sendonly", streams: [media] });
    await peer.setLocalDescription();
    const { sdpAnswer } = await this.#signaling.request("reconnectStream", { stream: id, sdpString: peer.localDescription.sdp });
    await peer.setRemoteDescription({ type: "answer", sdp: sdpAnswer });
    this.#watch(this.#publication);
  }

  #watch(link) {
    link.peer.oniceconnectionstatechange = () => link.peer.iceConnectionState === "failed" && this.#repair();
  }

  /** Renew every media connection that is not up, as the contract's clients do. */
  async #repair() {
    const broken = (link) => link?.peer && !["connected", "completed"].includes(link.peer.iceConnectionState);
    try {
      if (broken(this.#publication)) await this.#republish();
      for (const subscription of this.#subscriptions.values()) if (broken(subscription)) await this.#negotiate(subscription, true);
    } catch (error) {
      this.#tell("status", error.message);
    }
  }

  #unpublished(owner) {
    if (!this.#streams.delete(owner)) return;
    this.#subscriptions.get(owner)?.peer?.close();
    this.#subscriptions.delete(owner);
    this.#tell("unpublished", owner);
  }

  #end(reason) {
    this.#publication?.peer.close();
    for (const { peer } of this.#subscriptions.values()) peer?.close();
    this.#publication?.media.getTracks().forEach((track) => track.stop());
    this.#signaling.close();
    this.#tell("ended", reason);
  }
}

// ---- The page ---------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);
const tiles = new Map(); // by connection id
const names = new Map();
let me, screen, camera;

async function token(room) {
  const response = await fetch("demo/tokens", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ room }),
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.message ?? `The server answered ${response.status}`);
  return body.token;
}

/** Names travel as client data; the server may add its own data after "%/%". */
function clientData(metadata) {
  try { return JSON.parse(metadata.split("%/%")[0]) ?? {}; } catch { return {}; }
}

function showTile(id, { media, name, self = false, isScreen = false }) {
  let tile = tiles.get(id);
  if (!tile) {
    tile = $("tile").content.firstElementChild.cloneNode(true);
    tiles.set(id, tile);
    $("tiles").append(tile);
  }
  tile.dataset.connection = id;
  tile.classList.toggle("self", self);
  tile.classList.toggle("screen", isScreen);
  tile.querySelector(".name").textContent = self ? `${name} (you)` : name;
  tile.querySelector(".initial").textContent = [...name][0]?.toUpperCase() ?? "?";
  const video = tile.querySelector("video");
  video.muted = self;
  video.srcObject = media;
  arrange();
  return tile;
}

function dropTile(id) { tiles.get(id)?.remove(); tiles.delete(id); arrange(); }

function arrange() {
  const columns = Math.ceil(Math.sqrt(tiles.size)) || 1;
  $("tiles").style.setProperty("--columns", columns);
  $("tiles").style.setProperty("--rows", Math.ceil(tiles.size / columns) || 1);
  const people = [...names.values()].filter(({ owner }) => !owner).length + 1;
  $("people").textContent = people === 1 ? "You are alone here" : `${people} people`;
}

function mark(tile, property, value) {
  if (property === "audioActive") tile?.classList.toggle("silent", !value);
  if (property === "videoActive") tile?.classList.toggle("dark", !value);
}

function addMessage(name, text) {
  const line = document.createElement("li");
  const who = document.createElement("b");
  who.textContent = name;
  line.append(who, text);
  $("messages").append(line);
  line.scrollIntoView();
}

function listen(participant) {
  const on = (name, handle) => participant.addEventListener(name, ({ detail }) => handle(detail));
  on("joined", ({ id, metadata }) => { names.set(id, { name: "Guest", ...clientData(metadata) }); arrange(); });
  on("left", (id) => { names.delete(id); arrange(); });
  on("published", async ({ owner, stream }) => {
    const { name, owner: person } = names.get(owner) ?? { name: "Guest" };
    if (person === me.id) return; // our own screen
    const tile = showTile(owner, { media: null, name: String(name), isScreen: stream.typeOfVideo === "SCREEN" });
    mark(tile, "audioActive", stream.audioActive ?? true);
    mark(tile, "videoActive", stream.hasVideo && stream.videoActive);
    await participant.subscribe(owner).catch((error) => { $("status").textContent = error.message; });
  });
  on("playing", ({ owner, media }) => { const tile = tiles.get(owner); if (tile) tile.querySelector("video").srcObject = media; });
  on("unpublished", dropTile);
  on("changed", ({ connectionId, property, newValue }) => mark(tiles.get(connectionId), property, newValue === "true"));
  on("message", ({ from, data, type }) => {
    if (type !== "signal:chat") return;
    addMessage(from === me.id ? "You" : names.get(from)?.name ?? "Server", data ?? "");
    if ($("chat-panel").hidden && from !== me.id) toggleChat();
  });
  on("status", (text) => { $("status").textContent = text; });
  on("ended", (reason) => finish(reason));
}

function toggleChat() {
  $("chat-panel").hidden = !$("chat-panel").hidden;
  $("chat-button").setAttribute("aria-pressed", String(!$("chat-panel").hidden));
  if (!$("chat-panel").hidden) $("say").elements.text.focus();
}

function toggleTrack(kind, button, property, reason, [off, on]) {
  const [track] = kind === "audio" ? camera.getAudioTracks() : camera.getVideoTracks();
  if (!track) return;
  track.enabled = !track.enabled;
  button.setAttribute("aria-pressed", String(track.enabled));
  button.querySelector("span").textContent = track.enabled ? off : on;
  mark(tiles.get(me.id), property, track.enabled);
  me.change(property, track.enabled, reason).catch((error) => { $("status").textContent = error.message; });
}

async function toggleScreen() {
  if (screen) return stopScreen();
  let media;
  try {
    media = await navigator.mediaDevices.getDisplayMedia({ video: true });
  } catch { return; } // the user changed their mind
  const shared = screen = new Participant(await token(me.session));
  shared.addEventListener("ended", () => dropTile(shared.id));
  media.getVideoTracks()[0].addEventListener("ended", stopScreen);
  const name = `${$("join").elements.nick.value}'s screen`;
  await shared.join(JSON.stringify({ name, owner: me.id }));
  await shared.publish(media, "SCREEN");
  showTile(shared.id, { media, name, self: true, isScreen: true });
  $("screen-button").setAttribute("aria-pressed", "true");
}

async function stopScreen() {
  const shared = screen;
  screen = undefined;
  $("screen-button").setAttribute("aria-pressed", "false");
  await shared?.leave();
}

async function openCamera() {
  const wishes = [{ audio: true, video: { width: 640, height: 480 } }, { audio: true }, { video: true }];
  for (const wish of wishes) {
    try { return await navigator.mediaDevices.getUserMedia(wish); } catch { /* try the next wish */ }
  }
  return new MediaStream(); // watch and listen only
}

async function enter({ nick, room }) {
  me = new Participant(await token(room.value));
  listen(me);
  camera = await openCamera();
  await me.join(JSON.stringify({ name: nick.value }));
  $("lobby").hidden = true;
  $("call").hidden = false;
  $("room-name").textContent = room.value;
  history.replaceState(null, "", `#${room.value}`);
  const tile = showTile(me.id, { media: camera, name: nick.value, self: true });
  mark(tile, "videoActive", camera.getVideoTracks().length > 0);
  mark(tile, "audioActive", camera.getAudioTracks().length > 0);
  $("mic-button").disabled = !camera.getAudioTracks().length;
  $("camera-button").disabled = !camera.getVideoTracks().length;
  if (camera.getTracks().length) await me.publish(camera, "CAMERA");
}

function finish(reason) {
  stopScreen();
  camera?.getTracks().forEach((track) => track.stop());
  for (const id of [...tiles.keys()]) dropTile(id);
  names.clear();
  $("messages").replaceChildren();
  $("call").hidden = true;
  $("lobby").hidden = false;
  $("join-error").textContent = reason ? `You left the room: ${reason}` : "";
}

$("join").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  $("join-error").textContent = "";
  try {
    await enter(event.target.elements);
  } catch (error) {
    finish();
    $("join-error").textContent = error.message;
  }
  button.disabled = false;
});
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const { text } = event.target.elements;
  me.say(text.value).then(() => event.target.reset(), (error) => { $("status").textContent = error.message; });
});
$("mic-button").addEventListener("click", ({ currentTarget }) => toggleTrack("audio", currentTarget, "audioActive", "publishAudio", ["Mute", "Unmute"]));
$("camera-button").addEventListener("click", ({ currentTarget }) => toggleTrack("video", currentTarget, "videoActive", "publishVideo", ["Stop video", "Start video"]));
$("screen-button").addEventListener("click", () => toggleScreen().catch((error) => { stopScreen(); $("status").textContent = error.message; }));
$("chat-button").addEventListener("click", toggleChat);
$("leave-button").addEventListener("click", () => me.leave());
$("join").elements.room.value = decodeURIComponent(location.hash.slice(1)).replace(/[^\w-]/g, "") || "lobby";
addEventListener("pagehide", () => { me?.leave(); screen?.leave(); });
