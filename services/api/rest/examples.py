"""Examples of the OpenAPI document, which are those of `rest-api.md`.

Answers have every field that this server sends.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

_KURENTO_OPTIONS: Object = {
    "videoMaxRecvBandwidth": 1000,
    "videoMinRecvBandwidth": 300,
    "videoMaxSendBandwidth": 1000,
    "videoMinSendBandwidth": 300,
    "allowedFilters": ["GStreamerFilter", "ZBarFilter"],
}
_RECORDING_PROPERTIES: Object = {
    "name": "MyRecording",
    "hasAudio": True,
    "hasVideo": True,
    "outputMode": "COMPOSED",
    "recordingLayout": "BEST_FIT",
    "resolution": "1280x720",
    "frameRate": 25,
    "shmSize": 536870912,
}
_NODE = "media_i-0c58bcdd26l11d0sd"

# Bodies of requests, by operation and title.

INITIALIZE_SESSION: Object = {
    "All properties": {
        "mediaMode": "ROUTED",
        "recordingMode": "MANUAL",
        "customSessionId": "CUSTOM_SESSION_ID",
        "forcedVideoCodec": "VP8",
        "allowTranscoding": False,
        "defaultRecordingProperties": {**_RECORDING_PROPERTIES, "mediaNode": {"id": _NODE}},
        "mediaNode": {"id": _NODE},
    },
    "All defaults": {},
}
INITIALIZE_CONNECTION: Object = {
    "A person": {
        "type": "WEBRTC",
        "data": "My Server Data",
        "record": True,
        "role": "PUBLISHER",
        "kurentoOptions": _KURENTO_OPTIONS,
    },
    "An IP camera": {
        "type": "IPCAM",
        "data": "Office security camera",
        "record": True,
        "rtspUri": "rtsp://your.camera.ip.sdp",
        "adaptativeBitrate": True,
        "onlyPlayWithSubscribers": True,
        "networkCache": 2000,
    },
}
MODIFY_CONNECTION: Object = {"Role and recording": {"role": "PUBLISHER", "record": True}}
GENERATE_TOKEN: Object = {
    "All properties": {
        "session": "ses_YnDaGYNcd7",
        "role": "PUBLISHER",
        "data": "DATA",
        "kurentoOptions": _KURENTO_OPTIONS,
    }
}
START_RECORDING: Object = {
    "Composed": {
        "session": "ses_YnDaGYNcd7",
        "name": "MyRecording",
        "hasAudio": True,
        "hasVideo": True,
        "outputMode": "COMPOSED",
        "recordingLayout": "CUSTOM",
        "customLayout": "mySimpleLayout",
        "resolution": "1280x720",
        "frameRate": 25,
        "shmSize": 536870912,
        "ignoreFailedStreams": False,
        "mediaNode": {"id": _NODE},
    },
    "A file a stream": {"session": "ses_YnDaGYNcd7", "outputMode": "INDIVIDUAL"},
}
SEND_SIGNAL: Object = {
    "To two people": {
        "session": "ses_YnDaGYNcd7",
        "to": ["con_Xnxg19tonh", "con_TNVdbuQCJF"],
        "type": "MY_TYPE",
        "data": "This is my signal data",
    },
    "To everybody": {"session": "ses_YnDaGYNcd7", "type": "MY_TYPE", "data": "Hello"},
}

RESTART: Object = {
    "Some settings": {
        "OPENVIDU_CDR": True,
        "OPENVIDU_RECORDING": True,
        "OPENVIDU_RECORDING_PUBLIC_ACCESS": True,
        "OPENVIDU_RECORDING_NOTIFICATION": "publisher_moderator",
        "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT": 120,
        "OPENVIDU_WEBHOOK": True,
        "OPENVIDU_WEBHOOK_ENDPOINT": "http://localhost:7777/webhook/",
        "OPENVIDU_WEBHOOK_EVENTS": ["recordingStatusChanged"],
        "OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH": 1000,
        "OPENVIDU_SESSIONS_GARBAGE_INTERVAL": 900,
        "OPENVIDU_PRO_NETWORK_QUALITY": True,
        "OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL": 5,
    },
    "The same settings": {},
}

# Answers, by the name of their schema.

_CONNECT = "wss://my.openvidu.ip?sessionId=TestSession&token=tok_AVe8o7iltWqtijyl"

ANSWERS: dict[str, Object] = {
    "Session": {
        "id": "TestSession",
        "object": "session",
        "sessionId": "TestSession",
        "createdAt": 1538481996019,
        "mediaMode": "ROUTED",
        "recordingMode": "MANUAL",
        "defaultRecordingProperties": {**_RECORDING_PROPERTIES, "mediaNode": _NODE},
        "customSessionId": "TestSession",
        "connections": {"numberOfElements": 0, "content": []},
        "recording": False,
        "broadcasting": False,
        "forcedVideoCodec": "VP8",
        "allowTranscoding": False,
        "mediaNodeId": _NODE,
    },
    "Connection": {
        "id": "con_Xnxg19tonh",
        "object": "connection",
        "type": "WEBRTC",
        "status": "active",
        "connectionId": "con_Xnxg19tonh",
        "sessionId": "TestSession",
        "createdAt": 1538481999022,
        "activeAt": 1538481999843,
        "location": "unknown",
        "ip": "172.17.0.1",
        "platform": "Chrome 85.0.4183.102 on Linux 64-bit",
        "token": _CONNECT,
        "serverData": "My Server Data",
        "clientData": "My Client Data",
        "record": True,
        "role": "PUBLISHER",
        "kurentoOptions": _KURENTO_OPTIONS,
        "customIceServers": [],
        "rtspUri": None,
        "adaptativeBitrate": None,
        "onlyPlayWithSubscribers": None,
        "networkCache": None,
        "publishers": [
            {
                "createdAt": 1538481999710,
                "streamId": "str_CAM_NhxL_con_Xnxg19tonh",
                "mediaOptions": {
                    "hasAudio": True,
                    "audioActive": True,
                    "hasVideo": True,
                    "videoActive": True,
                    "typeOfVideo": "CAMERA",
                    "frameRate": 30,
                    "videoDimensions": '{"width":640,"height":480}',
                    "filter": {},
                },
            }
        ],
        "subscribers": [
            {"createdAt": 1538482000856, "streamId": "str_MIC_JSXs_con_OV0CsFsykJ"},
        ],
    },
    "Recording": {
        "id": "TestSession",
        "object": "recording",
        "name": "MyRecording",
        "outputMode": "COMPOSED",
        "resolution": "1280x720",
        "frameRate": 25,
        "recordingLayout": "CUSTOM",
        "customLayout": "",
        "sessionId": "TestSession",
        "createdAt": 1600564785109,
        "size": 303072692,
        "duration": 108000.234,
        "url": "https://my.openvidu.ip/openvidu/recordings/TestSession/MyRecording.mp4",
        "hasAudio": True,
        "hasVideo": True,
        "status": "ready",
    },
    "Token": {
        "id": _CONNECT,
        "token": _CONNECT,
        "connectionId": "con_Xnxg19tonh",
        "createdAt": 1538481996024,
        "session": "TestSession",
        "role": "PUBLISHER",
        "data": "MY_SERVER_DATA",
        "record": True,
        "kurentoOptions": _KURENTO_OPTIONS,
    },
    "MediaNode": {
        "id": _NODE,
        "object": "mediaNode",
        "environmentId": "i-0c58bcdd26l11d0sd",
        "ip": "172.17.0.2",
        "uri": "ws://172.17.0.2:8888/kurento",
        "launchingTime": 1600678236916,
        "connected": True,
        "connectionTime": 1600678251771,
        "load": 12.45,
        "status": "running",
        "sessions": [],
        "recordingIds": [],
        "kurentoInfo": {},
    },
    "Health": {"status": "UP"},
}
