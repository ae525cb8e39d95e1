use super::*;

/// Random numbers from -1 to 1.
fn noise(mut seed: u32) -> impl FnMut() -> f32 {
    move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Noise with more power below, as of a room or an orchestra.
fn pink(seed: u32) -> impl FnMut() -> f32 {
    let (mut white, mut low, mut lower) = (noise(seed), 0.0, 0.0);
    move || {
        let now = white();
        low += 0.1 * (now - low);
        lower += 0.01 * (now - lower);
        now * 0.1 + low * 0.5 + lower * 2.0
    }
}

/// Something like a voice: harmonics of a gliding pitch, in syllables with pauses.
fn voice(i: usize) -> f32 {
    let t = i as f32 / RATE_HZ as f32;
    let pitch = std::f32::consts::TAU * (130.0 * t + 8.0 * (2.0 * t).sin());
    let wave: f32 = (1..20).map(|n| (pitch * n as f32 + n as f32).sin() / n as f32).sum();
    let syllable = (std::f32::consts::TAU * 2.0 * t).sin().max(0.0);
    let pause = if t % 5.0 > 4.2 { 0.0 } else { 1.0 };
    wave * 0.15 * syllable * pause
}

fn seconds(s: f64) -> usize {
    (s * RATE_HZ as f64) as usize
}

fn repaired(input: &[[f32; 2]]) -> (Vec<[f32; 2]>, Vec<String>) {
    let (mut repair, mut out) = (ChannelRepair::new(), Vec::new());
    let mut write_frames = |frames: &[[f32; 2]]| {
        out.extend_from_slice(frames);
        Ok(())
    };
    for chunk in input.chunks(1021) {
        repair.push(chunk, &mut write_frames).expect("taken");
        assert!(repair.blocks.len() <= LOOKAHEAD_BLOCKS + 1);
    }
    repair.finish(&mut write_frames).expect("taken");
    assert_eq!(out.len(), input.len());
    (out, repair.warnings().into_iter().map(|note| note.message).collect())
}

fn assert_untouched(name: &str, input: &[[f32; 2]]) {
    let (out, warnings) = repaired(input);
    assert!(out == input && warnings.is_empty(), "{name}: {warnings:?}");
}

fn power(frames: &[[f32; 2]], signal: impl Fn(&[f32; 2]) -> f32) -> f32 {
    frames.iter().map(|frame| signal(frame).powi(2)).sum::<f32>() / frames.len() as f32
}

/// Returns by how many dB the weakest of both channels and their sum exceeds the source's voice.
fn least_gain_db(source: impl Fn(usize) -> f32, out: &[[f32; 2]], from: usize) -> f32 {
    let wanted: f32 = (from..from + out.len()).map(|i| source(i).powi(2)).sum::<f32>() / out.len() as f32;
    let powers = [power(out, |f| f[0]), power(out, |f| f[1]), power(out, |f| (f[0] + f[1]) / 2.0)];
    10.0 * (powers.into_iter().fold(f32::MAX, f32::min) / wanted).log10()
}

#[test]
fn real_stereo_is_untouched() {
    let (mut a, mut b) = (pink(1), pink(2));
    let ambience: Vec<[f32; 2]> = (0..seconds(20.0)).map(|_| [a(), b()]).collect();
    assert_untouched("uncorrelated noise", &ambience);
    let voiced: Vec<_> =
        ambience.iter().enumerate().map(|(i, f)| [f[0] * 0.1 + voice(i), f[1] * 0.1 + voice(i)]).collect();
    assert_untouched("a voice in the middle", &voiced);
    let panned: Vec<_> = (0..seconds(20.0)).map(|i| [voice(i), voice(i) * 0.15]).collect();
    assert_untouched("a voice panned by 16 dB", &panned);
    let spaced: Vec<_> = (30..seconds(20.0)).map(|i| [voice(i), voice(i - 24)]).collect();
    assert_untouched("a voice half a millisecond apart", &spaced);
    let events: Vec<_> = ambience
        .iter()
        .enumerate()
        .map(|(i, f)| match (i / seconds(0.5)) % 8 {
            2 => [voice(i) * 3.0, 0.0],
            5 => [0.0, voice(i) * 3.0],
            _ => f.map(|sample| sample * 0.2),
        })
        .collect();
    assert_untouched("short events on one side", &events);
    assert_untouched("silence", &vec![[0.0; 2]; seconds(10.0)]);
}

#[test]
fn opposed_channels_are_put_right_for_as_long_as_they_are() {
    for (level, delay) in [(1.0, 0), (0.5, 0), (0.5, 8), (0.9, 14)] {
        let (mut a, mut b) = (pink(3), pink(4));
        let input: Vec<_> = (0..seconds(30.0))
            .map(|i| {
                if (seconds(10.0)..seconds(20.0)).contains(&i) {
                    [voice(i), -level * voice(i - delay)]
                } else {
                    [a() * 0.3, b() * 0.3]
                }
            })
            .collect();
        let (out, warnings) = repaired(&input);
        assert_eq!(warnings.len(), 1, "{level}, {delay}: {warnings:?}");
        assert!(warnings[0].starts_with("For 0:"), "{warnings:?}");
        let case = format!("level {level}, delay {delay}");
        let (from, until) = (seconds(10.2), seconds(19.8));
        assert!(least_gain_db(voice, &out[from..until], from) > -6.5, "{case}");
        assert_eq!(out[..seconds(9.8)], input[..seconds(9.8)], "{case}");
        assert_eq!(out[seconds(20.3)..], input[seconds(20.3)..], "{case}");
    }
}

#[test]
fn a_voice_on_one_side_is_on_both() {
    let (mut hiss, mut other) = (pink(5), pink(6));
    let lapel: Vec<_> = (0..seconds(30.0)).map(|i| [voice(i) + 0.003 * other(), 0.003 * hiss()]).collect();
    let silent: Vec<_> = (0..seconds(30.0)).map(|i| [0.0, voice(i)]).collect();
    // Two speakers, each with a microphone on a side, who take turns.
    let turns: Vec<_> = (0..seconds(30.0))
        .map(|i| {
            if (i / seconds(3.7)).is_multiple_of(2) { [voice(i), 0.0] } else { [0.001 * voice(i), voice(i)] }
        })
        .collect();
    for (name, input) in [("lapel", lapel), ("silent", silent), ("turns", turns)] {
        let (out, warnings) = repaired(&input);
        assert!(
            warnings.len() == 1 && warnings[0].contains("only one audio channel"),
            "{name}: {warnings:?}"
        );
        for from in [0.0, 1.0, 4.0, 12.0, 20.0, 28.0].map(seconds) {
            let gain = least_gain_db(voice, &out[from..from + seconds(1.0)], from);
            assert!(gain > -0.5, "{name} from {from}: {gain} dB");
        }
    }
}

#[test]
fn a_faint_answer_on_the_other_side_is_kept() {
    // A passage longer than a lesson's pauses: the teacher is left, a pupil 30 dB lower is right.
    let input: Vec<_> = (0..seconds(60.0))
        .map(|i| if (i / seconds(3.0)).is_multiple_of(2) { [voice(i), 0.0] } else { [0.0, 0.03 * voice(i)] })
        .collect();
    let (out, _) = repaired(&input);
    let (from, until) = (seconds(33.1), seconds(35.9));
    assert!(least_gain_db(|i| 0.03 * voice(i), &out[from..until], from) > -1.0);
}

#[test]
fn one_mode_fades_into_the_next_without_a_step() {
    let tone = |i: usize| (i as f32 * 0.01).sin() * 0.5;
    for mode in [ChannelMode::Inverted, ChannelMode::OneSided] {
        let mut frames: Vec<_> = (0..BLOCK_FRAMES).map(|i| [tone(i), 0.0]).collect();
        apply_mode(&mut frames, ChannelMode::Stereo, mode);
        let steps = frames.windows(2).flat_map(|pair| [0, 1].map(|c| (pair[1][c] - pair[0][c]).abs()));
        assert!(steps.fold(0.0, f32::max) < 0.006);
    }
}
