//! Certificates: whom to believe, and who we are.

use std::sync::Arc;

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::{
    environment::{Environment, EnvironmentError, Signal, Variable},
    settings::{SettingsError, file},
};

/// By the variables `OTEL_EXPORTER_OTLP_CERTIFICATE`, else the system's authorities, and
/// `…_CLIENT_CERTIFICATE` with `…_CLIENT_KEY`.
pub(super) fn config(
    environment: &Environment,
    signal: Signal,
) -> Result<ClientConfig, SettingsError> {
    let mut authorities = RootCertStore::empty();
    if let Some(variable) = environment.exporter(signal, "CERTIFICATE") {
        for certificate in certificates(&variable)? {
            authorities.add(certificate).map_err(|error| variable.wrong(error))?;
        }
    } else {
        // None at all is said by the handshake that fails.
        authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let builder = builder(authorities)?;
    let certificate = environment.exporter(signal, "CLIENT_CERTIFICATE");
    let key = environment.exporter(signal, "CLIENT_KEY");
    match (certificate, key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = certificates(&certificate)?;
            let private = PrivateKeyDer::from_pem_slice(&file(&key)?)
                .map_err(|_| key.wrong(format_args!("{} is no key in PEM", key.value)))?;
            let config = builder.with_client_auth_cert(chain, private);
            Ok(config.map_err(|error| certificate.wrong(error))?)
        }
        (Some(alone), None) | (None, Some(alone)) => Err(alone
            .wrong("a certificate of a client and its key go together: set both, or neither")
            .into()),
    }
}

/// For an endpoint that is reached without.
pub(super) fn unused() -> Result<ClientConfig, SettingsError> {
    Ok(builder(RootCertStore::empty())?.with_no_client_auth())
}

fn builder(
    authorities: RootCertStore,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(authorities))
}

fn certificates(variable: &Variable<'_>) -> Result<Vec<CertificateDer<'static>>, EnvironmentError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file(variable)?).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| variable.wrong(format_args!("{} has no certificate in PEM", variable.value)))
}
