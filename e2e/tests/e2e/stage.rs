//! Stages: what the stories of one module start from.

use tidegate_e2e::backend::{Backend, Echo, Handshake};
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::upgrade::Upgrade;
use tidegate_wire::Wire;

/// A gateway `edge` with the open API `api` at `/api`, in front of a backend that the test plays.
pub(crate) struct Stage {
    /// The backend.
    pub backend: Backend,
    /// The gateway.
    pub edge: Served,
    /// The namespace; last, so that it goes last.
    pub scene: Scene,
}

/// Sets it up, with more fields in the API's spec (YAML, indented by two).
pub(crate) async fn stage(hint: &str, api_spec: &str) -> anyhow::Result<Stage> {
    let scene = Scene::new(hint).await?;
    let backend = Backend::start().await?;
    let url = format!("ws://{}/", backend.address());
    let edge = scene.gateway("edge").await?;
    scene.open_api(&edge, "api", &url, api_spec).await?;
    Ok(Stage {
        backend,
        edge,
        scene,
    })
}

impl Stage {
    /// A correct handshake for the API.
    pub(crate) fn upgrade(&self) -> Upgrade {
        Upgrade::new(&self.edge.host(), "/api")
    }

    /// Sends these bytes; the client's end and what arrived at the backend.
    pub(crate) async fn knock(
        &mut self,
        bytes: impl AsRef<[u8]>,
    ) -> anyhow::Result<(Wire, Handshake)> {
        let mut client = Wire::connect(self.edge.address(), None).await?;
        client.send(bytes).await?;
        let handshake = self.backend.handshake().await?;
        Ok((client, handshake))
    }

    /// An open tunnel, both ends in the test's hand.
    pub(crate) async fn tunnel(&mut self) -> anyhow::Result<(Wire, Wire)> {
        let upgrade = self.upgrade();
        let (mut client, handshake) = self.knock(upgrade.bytes()).await?;
        let backend = handshake.accept().await?;
        let answer = client.head().await?;
        anyhow::ensure!(answer.status() == 101, "{answer:?}");
        Ok((client, backend))
    }
}

/// A gateway `edge` with the open API `api` at `/api`, in front of an echo backend.
pub(crate) struct EchoStage {
    /// The backend.
    pub echo: Echo,
    /// The gateway.
    pub edge: Served,
    /// The namespace; last, so that it goes last.
    pub scene: Scene,
}

/// Sets it up, with more fields in the API's spec (YAML, indented by two).
pub(crate) async fn echo_stage(hint: &str, api_spec: &str) -> anyhow::Result<EchoStage> {
    let scene = Scene::new(hint).await?;
    let echo = Echo::start().await?;
    let edge = scene.gateway("edge").await?;
    scene.open_api(&edge, "api", &echo.url(), api_spec).await?;
    Ok(EchoStage { echo, edge, scene })
}
