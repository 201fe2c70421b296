// In a page of a test: media goes through a relay, and what it does is noted ten times a second.

const lab = window.lab = {
  samples: [],

  through(host, port) {
    const original = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
      const moved = sdp.replace(/^(a=candidate:\S+ \d+ udp \d+) \S+ \d+ typ/gmi, `$1 ${host} ${port} typ`);
      return original.call(this, { type, sdp: moved });
    };
  },

  /** `streamId` is that of the subscription; none: what this page publishes. */
  observe(streamId) {
    const stream = streamId ? client.subscribers.get(streamId).stream : client.publisher.stream;
    setInterval(async () => {
      const reports = await stream.getRTCPeerConnection().getStats();
      const type = streamId ? "inbound-rtp" : "outbound-rtp";
      const sample = { at: Date.now() / 1000 };
      for (const report of reports.values()) {
        if (report.type !== type || report.kind !== "video") continue;
        for (const name of ["framesDecoded", "bytesReceived", "packetsReceived", "packetsLost", "retransmittedPacketsReceived",
          "nackCount", "pliCount", "freezeCount", "totalFreezesDuration", "retransmittedPacketsSent", "framesEncoded"])
          sample[name] = (sample[name] ?? 0) + (report[name] ?? 0);
        sample.height = Math.max(sample.height ?? 0, report.frameHeight ?? 0);
      }
      lab.samples.push(sample);
    }, 100);
  },
};
