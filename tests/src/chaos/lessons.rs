//! Short lessons, each with bytes of its own.

use std::path::Path;

use super::plan::LessonPlan;
use crate::media::ffmpeg;

/// ffmpeg arguments of the clips that lessons are made of.
const CLIPS: [&str; 5] = [
    // Played as it is.
    "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i sine=f=440:d=4 -c:v libx264 -preset ultrafast \
     -g 50 -pix_fmt yuv420p -c:a aac -shortest",
    // With a ladder of several renditions.
    "-f lavfi -i testsrc2=s=640x360:r=25:d=5 -f lavfi -i sine=f=330:d=5 -c:v libx264 -preset ultrafast \
     -g 50 -pix_fmt yuv420p -c:a aac -shortest",
    // Sound alone.
    "-f lavfi -i sine=f=220:d=8 -c:a aac",
    // Video alone.
    "-f lavfi -i testsrc2=s=320x180:r=15:d=6 -c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p",
    // Uploaded in several parts.
    "-f lavfi -i testsrc2=s=640x360:r=30:d=7,noise=alls=60:allf=t -f lavfi -i sine=f=550:d=7 -c:v libx264 \
     -preset ultrafast -b:v 9M -g 60 -pix_fmt yuv420p -c:a aac -shortest",
];

/// Makes the lessons' files in `folder`, in the order of the plans.
pub fn make(folder: &Path, plans: &[LessonPlan]) -> Vec<Vec<u8>> {
    std::fs::create_dir_all(folder).unwrap();
    let clip = |number: usize| folder.join(format!("clip-{number}.mp4"));
    for (number, arguments) in CLIPS.iter().enumerate() {
        ffmpeg(arguments, &clip(number));
    }
    let lessons = plans.iter().map(|plan| {
        let kind = (plan.clip % CLIPS.len() as u64) as usize;
        let file = folder.join(format!("lesson-{}.mp4", plan.number));
        // Only a tag differs, so that making forty takes seconds.
        ffmpeg(&format!("-i {} -c copy -metadata title=lesson-{}", clip(kind).display(), plan.number), &file);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        bytes
    });
    lessons.collect()
}
