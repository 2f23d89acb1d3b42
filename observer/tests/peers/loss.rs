//! Losing RTP of one payload type on its way.

/// Rules for a firewall: they count as `seen` what is RTP of a payload type, and lose so
/// many in a hundred of it. The first 20 pass, so that a flow has begun before it has losses,
/// and the next is lost for certain. STUN, DTLS and RTCP have other first bytes or other
/// payload types.
pub(crate) fn of(payload_type: u8, percent: u32) -> Vec<String> {
    rules(&format!("meta l4proto udp @th,64,2 == 2 @th,73,7 == {payload_type}"), percent)
}

/// The same, of what is in `ChannelData` of TURN (RFC 8656 section 12.4): 4 bytes, the first
/// two bits of which are 01, stand before it.
pub(crate) fn of_channel_data(payload_type: u8, percent: u32) -> Vec<String> {
    let rtp = format!("meta l4proto udp @th,64,2 == 1 @th,96,2 == 2 @th,105,7 == {payload_type}");
    rules(&rtp, percent)
}

fn rules(rtp: &str, percent: u32) -> Vec<String> {
    let mut rules =
        vec![format!("{rtp} counter name seen"), format!("{rtp} numgen inc mod 65536 < 20 accept")];
    if percent > 0 {
        rules.push(format!("{rtp} numgen inc mod 65536 < 1 jump lose"));
        rules.push(format!("{rtp} numgen random mod 100 < {percent} jump lose"));
    }
    rules
}
