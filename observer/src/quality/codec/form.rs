//! Codecs as a configuration writes them: `{111: opus, 0: {codec: pcmu, bpl: 4.3}}`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer},
};

use super::{known, label};
use crate::quality::emodel::{Equipment, Model};

/// An RTP payload type, from 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PayloadType(pub(super) u8);

/// A codec: its name alone, or with factors of the E-model.
#[derive(Clone, Debug, PartialEq)]
pub struct Codec {
    form: Form,
    label: &'static str,
}

/// A codec with all that can be said of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Form {
    /// Its name, as in SDP: `opus`, `g722`, `vp8`
    codec: String,
    /// The model that `ie` and `bpl` are of: `g107`, `g107.1` or `g107.2` [default: the
    /// codec's own]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<FormModel>,
    /// Equipment impairment factor, from 0 to 95 [default: the codec's own]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ie: Option<f64>,
    /// Packet-loss robustness factor, in percent, from 0.1 to 100 [default: the codec's own]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bpl: Option<f64>,
}

/// A model that factors can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum FormModel {
    #[serde(rename = "g107")]
    Narrowband,
    #[serde(rename = "g107.1")]
    Wideband,
    #[serde(rename = "g107.2")]
    Fullband,
}

/// What is wrong with a codec.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// No payload type.
    #[error("`{0}` is no payload type from 0 to 127")]
    PayloadType(String),
    /// A name that is no name.
    #[error("`{0}` is no name of a codec: 1 to 32 letters, digits, `-`, `_` or `.`")]
    Name(String),
    /// A factor out of bounds.
    #[error("`{key}: {value}` is not between {least} and {most}")]
    Factor {
        /// Which.
        key: &'static str,
        /// As it was given.
        value: f64,
        /// It may not be less.
        least: f64,
        /// Nor more.
        most: f64,
    },
    /// Some factors of a codec of which no others are known.
    #[error("`{0}` has no factors of its own: give `model`, `ie` and `bpl`, or none of them")]
    Incomplete(String),
    /// A model without its factors.
    #[error("`model` of `{0}` is another than its own: give `ie` and `bpl` on its scale as well")]
    Scale(String),
}

impl Codec {
    fn new(form: Form) -> Result<Self, CodecError> {
        let codec = form.codec.to_ascii_lowercase();
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=32).contains(&codec.len()) || !codec.bytes().all(is_letter) {
            return Err(CodecError::Name(form.codec));
        }
        for (key, factor, least, most) in
            [("ie", form.ie, 0.0, 95.0), ("bpl", form.bpl, 0.1, 100.0)]
        {
            if let Some(value) = factor
                && !(least..=most).contains(&value)
            {
                return Err(CodecError::Factor { key, value, least, most });
            }
        }
        let given = [form.model.is_some(), form.ie.is_some(), form.bpl.is_some()];
        match known(&codec) {
            None if given.contains(&true) && given.contains(&false) => {
                Err(CodecError::Incomplete(codec))
            }
            Some(known)
                if form.model.is_some_and(|model| Model::from(model) != known.equipment.model)
                    && given.contains(&false) =>
            {
                Err(CodecError::Scale(codec))
            }
            _ => Ok(Self { label: label(&codec), form: Form { codec, ..form } }),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.form.codec
    }

    pub(super) const fn label(&self) -> &'static str {
        self.label
    }

    /// The factors that it has or was given.
    pub(super) fn equipment(&self) -> Option<Equipment> {
        let Form { codec, model, ie, bpl } = &self.form;
        let own = known(codec).map(|known| known.equipment);
        Some(Equipment {
            model: model.map(Model::from).or(own.map(|own| own.model))?,
            ie: ie.or(own.map(|own| own.ie))?,
            bpl: bpl.or(own.map(|own| own.bpl))?,
        })
    }
}

impl From<FormModel> for Model {
    fn from(model: FormModel) -> Self {
        match model {
            FormModel::Narrowband => Self::Narrowband,
            FormModel::Wideband => Self::Wideband,
            FormModel::Fullband => Self::Fullband,
        }
    }
}

impl FromStr for PayloadType {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        let number = text.parse().ok().filter(|number| *number <= 127);
        number.map(Self).ok_or_else(|| CodecError::PayloadType(text.to_owned()))
    }
}

impl Serialize for PayloadType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for PayloadType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = PayloadType;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a payload type from 0 to 127")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<PayloadType, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PayloadType, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PayloadType, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for PayloadType {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PayloadType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9]{1,3}$"})
    }
}

impl Serialize for Codec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.form {
            Form { codec, model: None, ie: None, bpl: None } => codec.serialize(serializer),
            form => form.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Codec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Form;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a codec, such as opus or {codec: pcmu, bpl: 4.3}")
            }

            fn visit_str<E: de::Error>(self, codec: &str) -> Result<Form, E> {
                Ok(Form { codec: codec.to_owned(), model: None, ie: None, bpl: None })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Form, A::Error> {
                Form::deserialize(MapAccessDeserializer::new(map))
            }
        }

        Self::new(deserializer.deserialize_any(Visitor)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Codec {
    fn schema_name() -> Cow<'static, str> {
        "Codec".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let form = generator.subschema_for::<Form>();
        schemars::json_schema!({"anyOf": [{"type": "string"}, form]})
    }
}
