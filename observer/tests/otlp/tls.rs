//! Collectors that are reached by TLS, with certificates of the test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use super::{
    collector::Collector,
    exporting::{Exporting, PROTOCOLS, Sample},
};

/// A folder with an authority, and a server and a client that it knows.
pub(crate) struct Identity(PathBuf);

impl Identity {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("observer-{}-tls-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        for (name, usage) in [
            ("server", ExtendedKeyUsagePurpose::ServerAuth),
            ("client", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// A server that wants to see a certificate too.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let certificates = |name: &str| -> Vec<_> {
            let path = self.path(name);
            CertificateDer::pem_file_iter(Path::new(&path)).unwrap().map(Result::unwrap).collect()
        };
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(certificates("ca.pem"));
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(authorities),
            Arc::clone(&provider),
        );
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(certificates("server.pem"), key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        // The system empties this folder too.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn both_ends_show_a_certificate_and_nobody_else_is_trusted() {
    let (ours, others) = (Identity::new("ours"), Identity::new("others"));
    let hour = Duration::from_secs(3_600);
    for protocol in PROTOCOLS {
        let collector = Collector::encrypted(protocol, &ours);
        let url = format!("https://{}", collector.address);
        let variables = |authority: &Identity| {
            [
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.path("ca.pem")),
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", ours.path("client.pem")),
                ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", ours.path("client.key")),
            ]
        };
        for (authority, parts, is_welcome) in
            [(&ours, 3, true), (&others, 3, false), (&ours, 1, false)]
        {
            let variables = variables(authority);
            let variables: Vec<_> =
                variables[..parts].iter().map(|(name, path)| (*name, path.as_str())).collect();
            let sample = Sample::empty();
            let exporting = Exporting::start(&url, protocol, hour, &variables, &sample);
            if is_welcome {
                collector.next();
            } else {
                assert!(collector.is_left_alone(Duration::from_millis(1_500)));
            }
            let log = exporting.stop().concat();
            assert_eq!(log.contains("does not take metrics"), !is_welcome, "{log}");
            assert_eq!(collector.rest().len(), usize::from(is_welcome), "the last one");
        }
    }
}
