"""What the fields of requests and answers mean, for the OpenAPI document: `<Schema>.<field>`, or
`<field>` where it means the same in all of them."""

from __future__ import annotations

from typing import Any

MEANINGS = {
    # Answers of lists
    "numberOfElements": "How many there are",
    "content": "All of them, in the order of their creation",
    "count": "How many there are",
    "items": "All of them, newest first",
    # Errors
    "timestamp": "UTC milliseconds",
    "Error.status": "The HTTP status",
    "error": "The phrase of the HTTP status",
    "message": "What is wrong, in a sentence for people",
    "path": "The path of the request",
    # Everywhere
    "object": "The type of the object",
    "createdAt": "UTC milliseconds",
    "sessionId": "Id of the session",
    "connectionId": "The id again, as the official clients read it",
    "session": "Id of the session",
    "streamId": "Id of the stream",
    # Sessions
    "Session.id": "Id of the session: the `customSessionId`, or a random one",
    "Session.sessionId": "The id again, as the official clients read it",
    "mediaMode": "`ROUTED`: through the server, needed for recording. `RELAYED` is kept, but its "
    "streams go through the server too",
    "recordingMode": "`MANUAL`: recordings are started with a request. `ALWAYS`: recording goes on "
    "from the first published stream until the last participant leaves",
    "customSessionId": "Empty if the session was initialized without one",
    "SessionBody.customSessionId": "The id of the session: letters, digits, `-` and `_`, 255 at "
    "most. Empty or not given: a random one",
    "forcedVideoCodec": "The codec that all clients are made to use; `NONE`: each its own",
    "SessionBody.forcedVideoCodec": "The codec that all clients are made to use; `NONE`: each its "
    "own. Not given: `OPENVIDU_STREAMS_FORCED_VIDEO_CODEC`, `VP8` unless it was changed",
    "allowTranscoding": "May a client that lacks the forced codec use another?",
    "SessionBody.allowTranscoding": "May a client that lacks the forced codec use another? Also as "
    "the strings `true` and `false`. Not given: `OPENVIDU_STREAMS_ALLOW_TRANSCODING`, false unless "
    "it was changed",
    "defaultRecordingProperties": "The properties of recordings started in this session, each of "
    "which a start may override",
    "connections": "The active connections; with `pendingConnections=true` the pending ones too",
    "Session.recording": "Is it being recorded now?",
    "broadcasting": "Always false: broadcasts are not part of this version",
    "mediaNodeId": "The media node that hosts the session; absent until the first user joins",
    "SessionBody.mediaNode": "The media node to host the session, as `{\"id\": ...}` or its id",
    # Recording properties
    "name": "Name of the files; empty: named after the recording's id",
    "RecordingBody.name": "Name of the files: letters, digits, `_`, `-` and `~`, 200 at most. "
    "Empty or not given: the recording's id",
    "Recording.name": "Name of the files; the id, if none was given",
    "hasAudio": "With sound? At least one of `hasAudio` and `hasVideo` must be true",
    "hasVideo": "With pictures? At least one of `hasAudio` and `hasVideo` must be true",
    "outputMode": "`COMPOSED`: one file of all streams in a layout. `COMPOSED_QUICK_START`: the "
    "same, started quicker. `INDIVIDUAL`: a file a stream, zipped",
    "recordingLayout": "Composed recordings with video only",
    "customLayout": "Path of the layout's folder, relative to `OPENVIDU_RECORDING_CUSTOM_LAYOUT`; "
    "with the layout `CUSTOM` only",
    "resolution": "`<width>x<height>` in pixels, each from 100 to 1999. Composed recordings with "
    "video only",
    "frameRate": "Frames a second, from 1 to 120. Composed recordings with video only",
    "shmSize": "Bytes of memory for the recorder, 134217728 at least. Composed recordings with "
    "video only",
    "ignoreFailedStreams": "`INDIVIDUAL` only. Record although a stream sends no media; otherwise "
    "the start fails after 10 seconds",
    "mediaNode": "Id of the media node that records",
    "RecordingBody.mediaNode": "The media node to record on, as `{\"id\": ...}` or its id; not "
    "given: the one of the session",
    "NodeSelector.id": "Id of a media node",
    # Recordings
    "Recording.id": "Id of the recording: the id of the session, for later ones with `~1`, `~2`, "
    "... at its end",
    "Recording.createdAt": "When it started, UTC milliseconds",
    "size": "Bytes of the file; 0 until it is ready",
    "duration": "Seconds; 0 until it is ready",
    "url": "Where the file is, once the recording is ready or has failed",
    "Recording.status": "`starting`, `started`, `stopped` (its files are being written), then "
    "`ready` or `failed`",
    "RecordingStartBody.session": "Id of the session to record",
    # Connections
    "Connection.id": "Id of the connection",
    "type": "`WEBRTC`: a person with an application. `IPCAM`: an IP camera",
    "Connection.status": "`pending`: waiting for a client with its token. `active`: in use",
    "activeAt": "When a client joined with it, UTC milliseconds",
    "location": "Where the participant is, as far as known",
    "ip": "Address of the participant",
    "platform": "Browser and system of the participant",
    "token": "What the client gives to `Session.connect`; null for IP cameras",
    "serverData": "What the application's server gave as `data`",
    "clientData": "What the client gave as metadata; null while pending",
    "record": "Are its streams recorded? For `INDIVIDUAL` recordings only",
    "role": "`SUBSCRIBER`: watches. `PUBLISHER`: also publishes. `MODERATOR`: also removes others "
    "and their streams. For `WEBRTC` only",
    "kurentoOptions": "Limits of the media of this connection; for `WEBRTC` only",
    "customIceServers": "ICE servers for this client instead of the server's",
    "data": "Data of the application about the participant",
    "rtspUri": "Address of the camera: mandatory for `IPCAM`, for nothing else",
    "adaptativeBitrate": "Adapt the quality to the network. For `IPCAM` only",
    "onlyPlayWithSubscribers": "Fetch the camera's stream only while somebody watches. For `IPCAM` "
    "only",
    "networkCache": "Milliseconds of the camera's stream to buffer. For `IPCAM` only",
    "publishers": "The streams it publishes; null while pending",
    "subscribers": "The streams it receives; null while pending",
    "mediaOptions": "What the stream carries now",
    "audioActive": "Is the sound on? Absent without audio",
    "videoActive": "Is the picture on? Absent without video",
    "typeOfVideo": "Absent without video",
    "MediaOptions.hasAudio": "Does the stream have sound?",
    "MediaOptions.hasVideo": "Does the stream have pictures?",
    "MediaOptions.frameRate": "Frames a second, as the publisher said; absent without video",
    "videoDimensions": "JSON text with `width` and `height`; absent without video",
    "filter": "The filter applied; empty without one",
    "videoMaxRecvBandwidth": "At most so many kbit/s to the client for each stream it receives; "
    "0: no limit",
    "videoMinRecvBandwidth": "Aim at so many kbit/s at least to the client for each stream; 0: no "
    "limit",
    "videoMaxSendBandwidth": "At most so many kbit/s from the client for each stream it publishes; "
    "0: no limit",
    "videoMinSendBandwidth": "Aim at so many kbit/s at least from the client for each stream; 0: "
    "no limit",
    "allowedFilters": "Names of the filters that the client may apply to its streams",
    "IceServer.url": "`stun:`, `turn:` or `turns:` address",
    "IceServerBody.url": "`stun:`, `turn:` or `turns:` address",
    "username": "User of a TURN server",
    "credential": "Password of a TURN server",
    "staticAuthSecret": "Secret of a TURN server, from which credentials for one day are made; "
    "instead of `username` and `credential`",
    # Tokens
    "Token.id": "The token",
    "Token.token": "The token again: what the client gives to `Session.connect`",
    "Token.connectionId": "Id of the connection that the token is for",
    # Signals
    "SignalBody.to": "Ids of connections; empty or not given: everybody",
    "SignalBody.type": "Clients that listen to `signal:<type>` hear it, and all that listen to "
    "`signal`",
    "SignalBody.data": "What to tell",
    # Media nodes
    "MediaNode.id": "Id of the media node",
    "environmentId": "Id of its machine, as its environment or who added it calls it",
    "MediaNode.ip": "Its address",
    "uri": "Where the media node is reached",
    "launchingTime": "When it was launched or added, UTC milliseconds",
    "connected": "Does the server hear of it?",
    "connectionTime": "When the server last began to hear of it, UTC milliseconds",
    "disconnectionTime": "When the server lost it, UTC milliseconds; absent while connected",
    "load": "Processor load, from 0.00 to 100.00",
    "MediaNode.status": "Only `running` nodes get new sessions; `waiting-idle-to-terminate` ones "
    "end with their last session",
    "sessions": "The sessions it hosts; with `sessions=true`",
    "recordingIds": "Ids of the recordings started on it; with `recordings=true`",
    "kurentoInfo": "Version, memory and abilities of its media server; with `extra-info=true`",
    "MediaNodeBody.uri": "The address by which the node announces itself, such as "
    "`ws://172.17.0.5:8888/kurento`. Mandatory: this server launches no machines",
    "MediaNodeBody.environmentId": "How you call its machine",
    "instanceType": "For environments that launch machines; without effect",
    "volumeSize": "For environments that launch machines; without effect",
    "MediaNodeStatusBody.status": "What it shall become",
    # Restarts
    "startTime": "When this process started, UTC milliseconds",
    "restartCounter": "How many restarts were asked for and done",
    "lastRestartTime": "When the last was, UTC milliseconds; 0: never",
    # Health
    "Health.status": "`UP` while at least one media node runs",
}  # fmt: skip

# What a field of a request is when it is not given (or null).
DEFAULTS: dict[str, Any] = {
    "SessionBody.mediaMode": "ROUTED",
    "SessionBody.recordingMode": "MANUAL",
    "SessionBody.customSessionId": "",
    "RecordingBody.name": "",
    "RecordingBody.hasAudio": True,
    "RecordingBody.hasVideo": True,
    "RecordingBody.outputMode": "COMPOSED",
    "RecordingBody.recordingLayout": "BEST_FIT",
    "RecordingBody.customLayout": "",
    "RecordingBody.resolution": "1280x720",
    "RecordingBody.frameRate": 25,
    "RecordingBody.shmSize": 536870912,
    "RecordingBody.ignoreFailedStreams": False,
    "ConnectionBody.type": "WEBRTC",
    "ConnectionBody.role": "PUBLISHER",
    "ConnectionBody.data": "",
    "ConnectionBody.record": True,
    "ConnectionBody.adaptativeBitrate": True,
    "ConnectionBody.onlyPlayWithSubscribers": True,
    "ConnectionBody.networkCache": 2000,
    "TokenBody.role": "PUBLISHER",
    "TokenBody.data": "",
    "TokenBody.record": True,
    "SignalBody.to": [],
}
