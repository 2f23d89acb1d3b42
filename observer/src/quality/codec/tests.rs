use super::*;

fn codecs(yaml: &str) -> Codecs {
    serde_saphyr::from_str(yaml).unwrap()
}

fn message(yaml: &str) -> String {
    serde_saphyr::from_str::<Codecs>(yaml).unwrap_err().to_string()
}

#[test]
fn static_types_are_those_of_rfc_3551_and_dynamic_ones_are_not_guessed() {
    let codecs = Codecs::default();
    let traits = |payload_type| codecs.traits(payload_type);
    assert_eq!((traits(0).codec, traits(0).media), ("pcmu", Some("audio")));
    assert_eq!(traits(9).equipment.model, Model::Wideband);
    assert_eq!(traits(18).equipment, Equipment { model: Model::Narrowband, ie: 11.0, bpl: 19.0 });
    assert_eq!((traits(34).codec, traits(34).media), ("h263", Some("video")));
    assert_eq!((traits(111).codec, traits(111).media), (UNKNOWN, None));
    for payload_type in [3, 111] {
        let model = traits(payload_type).equipment.model;
        assert_eq!(model, Model::CodecUnknown, "{payload_type}: no factors are published");
    }
}

#[test]
fn a_configured_type_is_what_it_is_said_to_be() {
    let codecs = codecs("{111: OPUS, 96: vp8, 0: {codec: pcmu, bpl: 4.3}, 97: ilbc}");
    let traits = |payload_type| codecs.traits(payload_type);
    assert_eq!((traits(111).codec, traits(111).media), ("opus", Some("audio")));
    assert_eq!(traits(111).equipment.model, Model::Fullband);
    assert_eq!(traits(111).delay, Duration::from_micros(26_500));
    assert_eq!((traits(96).codec, traits(96).media), ("vp8", Some("video")));
    assert_eq!(traits(0).equipment, Equipment { model: Model::Narrowband, ie: 0.0, bpl: 4.3 });
    assert_eq!((traits(97).codec, traits(97).media), ("ilbc", Some("audio")));
    assert_eq!(traits(97).equipment.model, Model::CodecUnknown);
    assert_eq!(traits(8).codec, "pcma");
}

#[test]
fn a_codec_can_bring_its_own_factors() {
    let codecs = codecs("112: {codec: amr-wb, model: g107.1, ie: 20, bpl: 4.3}");
    let expected = Equipment { model: Model::Wideband, ie: 20.0, bpl: 4.3 };
    assert_eq!(codecs.traits(112).equipment, expected);
}

#[test]
fn a_name_of_somebody_s_own_is_no_label() {
    let codecs = codecs("{111: opus, 96: h264, 97: l16, 98: my-codec}");
    let label = |payload_type| codecs.traits(payload_type).label;
    assert_eq!(
        [0, 111, 96, 97, 98, 99].map(label),
        ["pcmu", "opus", "h264", "l16", "other", "unknown"]
    );
    assert_eq!(codecs.traits(98).codec, "my-codec");
}

#[test]
fn what_is_wrong_is_named() {
    for (yaml, words) in [
        ("128: opus", "`128` is no payload type from 0 to 127"),
        ("-1: opus", "`-1` is no payload type"),
        ("opus: 111", "`opus` is no payload type"),
        ("111: ''", "no name of a codec"),
        ("111: 'a b'", "`a b` is no name of a codec"),
        ("111: {codec: opus, ie: 96}", "`ie: 96` is not between 0 and 95"),
        ("111: {codec: opus, bpl: 0}", "`bpl: 0` is not between 0.1 and 100"),
        ("111: {codec: opus, bpl: .nan}", "is not between"),
        ("111: {codec: silk, ie: 5}", "give `model`, `ie` and `bpl`"),
        ("111: {codec: opus, model: g107, ie: 5}", "on its scale as well"),
        ("111: {codec: opus, model: g711}", "g107.2"),
        ("111: {codec: opus, bpk: 5}", "bpk"),
        ("111: [opus]", "a codec, such as opus"),
        ("[opus]", "map"),
    ] {
        let said = message(yaml);
        assert!(said.contains(words), "{yaml}: {said}");
    }
}

#[test]
fn what_is_written_can_be_read_back() {
    let yaml = "{0: {codec: pcmu, bpl: 4.3}, 96: vp8, 111: opus}";
    let codecs = codecs(yaml);
    let json = serde_json::to_string(&codecs).unwrap();
    assert_eq!(json, r#"{"0":{"codec":"pcmu","bpl":4.3},"96":"vp8","111":"opus"}"#);
    assert_eq!(serde_json::from_str::<Codecs>(&json).unwrap(), codecs);
}
