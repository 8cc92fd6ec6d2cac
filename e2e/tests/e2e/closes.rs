//! How either side's end reaches the other.

use std::time::Duration;

use anyhow::Context;

use tidegate_wire::{Frame, Wire, frame};

use crate::stage::{Stage, stage};

async fn close(of: &mut Wire) -> anyhow::Result<(u16, String)> {
    let frame = of.frame().await?;
    let closing = frame.closing();
    closing.with_context(|| format!("not a Close: {frame:?}"))
}

#[tokio::test]
async fn either_sides_close_reaches_the_other_with_code_and_reason() -> anyhow::Result<()> {
    let mut stage = stage("closes", "").await?;
    for (code, reason) in [(1000, ""), (1001, "leaving"), (4321, "grüße vom Meer")] {
        let frame = Frame::close(code, reason);
        for client_first in [true, false] {
            let (mut client, mut backend) = stage.tunnel().await?;
            if client_first {
                client.send_frame(&frame.clone().masked()).await?;
                assert_eq!(close(&mut backend).await?, (code, reason.to_owned()));
                backend.send_frame(&frame).await?;
                assert_eq!(close(&mut client).await?, (code, reason.to_owned()));
            } else {
                backend.send_frame(&frame).await?;
                assert_eq!(close(&mut client).await?, (code, reason.to_owned()));
                client.send_frame(&frame.clone().masked()).await?;
                assert_eq!(close(&mut backend).await?, (code, reason.to_owned()));
            }
            backend.shut_down().await?;
            client.end().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_close_without_code_passes_as_one() -> anyhow::Result<()> {
    let mut stage = stage("no-code", "").await?;
    let (mut client, mut backend) = stage.tunnel().await?;
    let bare = Frame::new(frame::CLOSE, []);
    backend.send_frame(&bare).await?;
    assert_eq!(client.frame().await?, bare);
    client.send_frame(&bare.clone().masked()).await?;
    assert_eq!(backend.frame().await?.unmasked(), bare);
    Ok(())
}

#[tokio::test]
async fn a_lost_client_is_told_to_the_backend_as_1001() -> anyhow::Result<()> {
    let mut stage = stage("lost-client", "").await?;
    let (client, mut backend) = stage.tunnel().await?;
    drop(client);
    assert_eq!(close(&mut backend).await?.0, 1001);
    backend.end().await
}

#[tokio::test]
async fn a_lost_backend_is_told_to_the_client_as_1014() -> anyhow::Result<()> {
    let mut stage = stage("lost-backend", "").await?;
    let (mut client, mut backend) = stage.tunnel().await?;
    backend.send_frame(&Frame::text("last words")).await?;
    drop(backend);
    assert_eq!(client.frame().await?, Frame::text("last words"));
    assert_eq!(close(&mut client).await?.0, 1014);
    client.end().await
}

#[tokio::test]
async fn a_backend_lost_inside_a_frame_cuts_the_client_off() -> anyhow::Result<()> {
    let mut stage = stage("torn-frame", "").await?;
    let (mut client, mut backend) = stage.tunnel().await?;
    let torn = Frame::text("this will never be whole").bytes();
    backend.send(&torn[..9]).await?;
    drop(backend);
    assert_eq!(client.bytes(9).await?, torn[..9]);
    client.end().await // a Close here would be read as the rest of the text
}

#[tokio::test]
async fn who_breaks_the_protocol_gets_1002() -> anyhow::Result<()> {
    let mut stage = stage("violations", "").await?;
    let mut reserved = Frame::text("x");
    reserved.opcode = 0x3;
    let cases = [
        ("reserved close code", Frame::close(1005, "")),
        ("unknown opcode", reserved),
        (
            "continuation of nothing",
            Frame::new(frame::CONTINUATION, *b"x"),
        ),
        ("control frame too long", Frame::new(frame::PING, [0; 126])),
        (
            "fragmented control frame",
            Frame::new(frame::PING, *b"x").unfinished(),
        ),
    ];
    for (case, violation) in cases {
        let (mut client, mut backend) = stage.tunnel().await?;
        client.send_frame(&violation.clone().masked()).await?;
        assert_eq!(close(&mut client).await?.0, 1002, "{case}, client");
        assert_eq!(close(&mut backend).await?.0, 1001, "{case}, its backend");

        let (mut client, mut backend) = stage.tunnel().await?;
        backend.send_frame(&violation).await?;
        assert_eq!(close(&mut backend).await?.0, 1002, "{case}, backend");
        assert_eq!(close(&mut client).await?.0, 1014, "{case}, its client");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_does_not_mask_breaks_the_protocol() -> anyhow::Result<()> {
    let mut stage = stage("unmasked", "").await?;
    let (mut client, mut backend) = stage.tunnel().await?;
    client.send_frame(&Frame::text("in the clear")).await?;
    assert_eq!(close(&mut client).await?.0, 1002);
    assert_eq!(close(&mut backend).await?.0, 1001);
    Ok(())
}

async fn expect_both_closed(stage: &mut Stage, code: u16, act: &str) -> anyhow::Result<()> {
    let (mut client, mut backend) = stage.tunnel().await?;
    assert_eq!(close(&mut client).await?.0, code, "{act}, client");
    assert_eq!(close(&mut backend).await?.0, 1001, "{act}, backend");
    Ok(())
}

#[tokio::test]
async fn silence_and_age_end_a_tunnel_with_1001() -> anyhow::Result<()> {
    let mut idle = stage("idle", "  timeouts: {idle: 1s}").await?;
    expect_both_closed(&mut idle, 1001, "idle").await?;
    let mut old = stage("age", "  timeouts: {maxDuration: 1s}").await?;
    expect_both_closed(&mut old, 1001, "age").await
}

#[tokio::test]
async fn too_big_a_message_ends_a_tunnel_with_1009() -> anyhow::Result<()> {
    let mut stage = stage("too-big", "  limits: {maxMessageBytes: 1000}").await?;
    let (mut client, mut backend) = stage.tunnel().await?;
    let fits = Frame::new(frame::BINARY, [1; 1000]);
    client.send_frame(&fits.clone().masked()).await?;
    assert_eq!(backend.frame().await?.unmasked(), fits);
    let part = Frame::new(frame::BINARY, [1; 600]).unfinished().masked();
    client.send_frame(&part).await?;
    let rest = Frame::new(frame::CONTINUATION, [1; 600]).masked();
    client.send_frame(&rest).await?;
    assert_eq!(close(&mut client).await?.0, 1009);
    Ok(())
}

#[tokio::test]
async fn a_draining_gateway_sends_a_close_to_both_sides() -> anyhow::Result<()> {
    let mut stage = stage("drain", "").await?;
    let window = serde_json::json!({"spec": {"drain": {"window": "1s"}}});
    stage.scene.kubectl().patch("wsgw/edge", &window).await?;
    stage.scene.programmed("Gateway", "edge").await?;
    let mut tunnels = Vec::new();
    for _ in 0..10 {
        tunnels.push(stage.tunnel().await?);
    }
    stage.edge.gateway.process.terminate()?;
    for (client, backend) in &mut tunnels {
        assert_eq!(close(client).await?.0, 1001);
        client.send_frame(&Frame::close(1001, "").masked()).await?;
        assert_eq!(close(backend).await?.0, 1001);
        backend.send_frame(&Frame::close(1001, "")).await?;
        backend.shut_down().await?;
    }
    let limit = Duration::from_secs(10);
    let status = stage.edge.gateway.process.ended(limit).await?;
    assert!(status.success(), "{status}");
    Ok(())
}
