#!/bin/sh
# Makes speech.opus and speech.levels beside it: half a minute of one voice with pauses, as a
# telephone would send it. Of a Debian: espeak-ng gstreamer1.0-tools gstreamer1.0-plugins-base
# gstreamer1.0-plugins-good python3. No recording of anybody is in it.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

espeak-ng -v en -s 150 -m -w "$work/voice.wav" '<speak>
Good morning, everybody. Can you hear me?<break time="1800ms"/>
Fine. Then let us begin with what came in over the weekend.<break time="900ms"/>
There were two reports of calls that broke off after about a minute.<break time="2500ms"/>
They are from the same office, so I would guess that it is their firewall again: it
forgets a flow of packets when nothing is said for thirty seconds.<break time="2200ms"/>
Yes.<break time="1500ms"/>
I will ask them for a capture, and tell you on Thursday.<break time="2000ms"/>
</speak>'

# 48 kHz, which is the clock of RTP for Opus whatever is inside (RFC 7587 section 4.1).
gst-launch-1.0 -q filesrc location="$work/voice.wav" ! wavparse ! audioconvert ! audioresample \
    ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! tee name=t \
    t. ! queue ! opusenc dtx=true frame-size=20 bitrate=20000 audio-type=voice bandwidth=wideband \
       ! oggmux ! filesink location=speech.opus \
    t. ! queue ! filesink location="$work/voice.raw"

# The level of each frame, a byte in -dBov from 0 to 127: RFC 6464 section 3, computed as in the
# appendix of RFC 6465. Frame n is the sound that ends `pre-skip` samples before its end.
python3 - "$work/voice.raw" speech.opus speech.levels <<'PY'
import array, math, struct, sys
raw, opus, levels = sys.argv[1:]
sound = array.array("h", open(raw, "rb").read())
head = open(opus, "rb").read(100)
at = head.index(b"OpusHead")
skip, = struct.unpack_from("<H", head, at + 10)
sound = array.array("h", [0] * skip) + sound
out = bytearray()
for begin in range(0, len(sound), 960):
    frame = sound[begin : begin + 960]
    mean = sum(sample * sample for sample in frame) / 960
    level = 127 if mean == 0 else min(127, round(-10 * math.log10(mean / 32768**2)))
    out.append(level)
open(levels, "wb").write(out)
PY
ls -l speech.opus speech.levels
