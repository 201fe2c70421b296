// An ordinary application of openvidu-browser, driven by the tests through `window.client`.
// It keeps every event it sees and every frame of its sockets, so that a test can ask what this
// page was told.

window.WebSocket = class extends WebSocket {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", ({ data }) => client.frames.push({ sent: false, ...JSON.parse(data) }));
  }
  send(data) { client.frames.push({ sent: true, ...JSON.parse(data) }); super.send(data); }
  close(code, reason) { client.closes.push(code ?? null); super.close(code, reason); }
};

const client = window.client = {
  events: [],
  frames: [], // JSON-RPC, both directions
  closes: [], // codes with which this page closed its sockets
  session: null,
  publisher: null,
  subscribers: new Map(), // by stream id

  async join(token, data, configuration = {}) {
    const OV = client.OV = new OpenVidu();
    OV.enableProdMode();
    // How soon a picture is there is a matter of the machine as well: no exception after 4 s.
    OV.setAdvancedConfiguration({ noStreamPlayingEventExceptionTimeout: 30000, ...configuration });
    const session = client.session = OV.initSession();
    const note = (type, more) => client.events.push({ type, ...more });
    session.on("connectionCreated", ({ connection }) => note("connectionCreated", { connection: connection.connectionId, data: connection.data }));
    session.on("connectionDestroyed", ({ connection, reason }) => note("connectionDestroyed", { connection: connection.connectionId, reason }));
    session.on("streamCreated", ({ stream }) => {
      note("streamCreated", { stream: stream.streamId, connection: stream.connection.connectionId });
      const subscriber = session.subscribe(stream, "remote");
      subscriber.on("streamPlaying", () => note("streamPlaying", { stream: stream.streamId }));
      client.subscribers.set(stream.streamId, subscriber);
    });
    session.on("streamDestroyed", ({ stream, reason }) => {
      note("streamDestroyed", { stream: stream.streamId, reason });
      client.subscribers.delete(stream.streamId);
    });
    session.on("streamPropertyChanged", ({ stream, changedProperty, newValue, reason }) =>
      note("streamPropertyChanged", { stream: stream.streamId, property: changedProperty, newValue, reason }));
    session.on("connectionPropertyChanged", ({ connection, changedProperty, newValue, oldValue }) =>
      note("connectionPropertyChanged", { connection: connection.connectionId, property: changedProperty, newValue, oldValue }));
    session.on("networkQualityLevelChanged", ({ connection, newValue, oldValue }) =>
      note("networkQualityLevelChanged", { connection: connection.connectionId, newValue, oldValue }));
    session.on("signal", ({ type, data, from }) => note("signal", { signal: type, data, from: from?.connectionId ?? null }));
    session.on("recordingStarted", ({ id, name }) => note("recordingStarted", { id, name }));
    session.on("recordingStopped", ({ id, name, reason }) => note("recordingStopped", { id, name, reason }));
    session.on("reconnecting", () => note("reconnecting"));
    session.on("reconnected", () => note("reconnected"));
    session.on("sessionDisconnected", ({ reason }) => note("sessionDisconnected", { reason }));
    session.on("exception", ({ name, message }) => note("exception", { name, message }));
    await session.connect(token, data);
    return session.connection.connectionId;
  },

  /** Of `properties`, `loopback` is ours: the page shows what the server sends back. */
  async publish({ loopback = false, ...properties } = {}) {
    const publisher = client.publisher = await client.OV.initPublisherAsync("local", {
      resolution: "640x480", frameRate: 30, mirror: false, ...properties,
    });
    publisher.on("streamDestroyed", ({ reason }) => client.events.push({ type: "ownStreamDestroyed", reason }));
    if (loopback) publisher.subscribeToRemote();
    await client.session.publish(publisher);
    return publisher.stream.streamId;
  },

  /** Publish the same Publisher again: a new stream. */
  async republish() {
    await client.session.publish(client.publisher);
    return client.publisher.stream.streamId;
  },

  stream(id) {
    return client.publisher?.stream.streamId === id ? client.publisher.stream : client.subscribers.get(id).stream;
  },

  reconnect(id) { return client.stream(id).reconnect(); },

  /** Shrink what the browser captures, as a user does who makes a shared window smaller. */
  async shrink(width) {
    await client.publisher.stream.getMediaStream().getVideoTracks()[0].applyConstraints({ width: { max: width } });
  },

  /** Let the encoder drop frames rather than lines where the machine is too slow. */
  async keepSize() {
    for (const sender of client.publisher.stream.getRTCPeerConnection().getSenders()) {
      await sender.setParameters({ ...sender.getParameters(), degradationPreference: "maintain-resolution" });
    }
  },

  /** End the media connection behind the library's back. */
  drop(id) { client.stream(id).getRTCPeerConnection().close(); },

  unsubscribe(id) {
    client.session.unsubscribe(client.subscribers.get(id));
    client.subscribers.delete(id);
  },

  forceDisconnect(id) {
    return client.session.forceDisconnect(client.session.remoteConnections.get?.(id) ?? client.session.remoteConnections[id]);
  },

  forceUnpublish(id) { return client.session.forceUnpublish(client.stream(id)); },

  applyFilter(id, type, options) { return client.stream(id).applyFilter(type, options); },

  /** `{name, code, message}` of the error with which a method rejects, null if it does not. */
  async refused(method, ...words) {
    try {
      await client[method](...words);
      return null;
    } catch (error) {
      return { name: error.name ?? null, code: error.code ?? null, message: error.message ?? String(error) };
    }
  },

  /** Reports of one type in the statistics of a stream's RTCPeerConnection. */
  async statistics(id, type) {
    const reports = await client.stream(id).getRTCPeerConnection().getStats();
    return [...reports.values()].filter((report) => report.type === type);
  },

  unpublish() { return client.session.unpublish(client.publisher); },

  signal(data, type, to = []) { return client.session.signal({ data, type, to }); },

  leave() { client.session.disconnect(); },

  /** What one subscription has received so far. */
  async received(streamId) {
    const subscriber = client.subscribers.get(streamId);
    const answer = { framesDecoded: 0, audioPackets: 0, picture: null };
    if (!subscriber?.stream.getWebRtcPeer()) return answer;
    const connection = subscriber.stream.getRTCPeerConnection();
    for (const report of (await connection.getStats()).values()) {
      if (report.type !== "inbound-rtp") continue;
      if (report.kind === "video") answer.framesDecoded = report.framesDecoded ?? 0;
      if (report.kind === "audio") answer.audioPackets = report.packetsReceived ?? 0;
    }
    const video = subscriber.videos[0]?.video;
    if (video?.videoWidth) {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [64, 48];
      const context = canvas.getContext("2d");
      context.drawImage(video, 0, 0, canvas.width, canvas.height);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      answer.picture = { brightness: data.reduce((sum, value, at) => at % 4 === 3 ? sum : sum + value, 0) / (64 * 48 * 3), pixels: [...data] };
    }
    return answer;
  },
};
