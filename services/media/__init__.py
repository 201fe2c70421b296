"""The SFU: ICE-lite on one UDP port, DTLS-SRTP, RTP forwarded without a codec."""
