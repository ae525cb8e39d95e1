//! `ChalkSrc`: a seekable source element over [`Source`]. GStreamer never gets a file name or an
//! address.

use std::sync::{Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::subclass::prelude::*;
use gstreamer_base as gst_base;
use gstreamer_base::prelude::*;
use gstreamer_base::subclass::base_src::CreateSuccess;
use gstreamer_base::subclass::prelude::*;

use crate::source::{Source, read_full};

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct ChalkSrc {
        pub(super) source: Mutex<Option<Source>>,
    }

    impl ChalkSrc {
        fn source(&self) -> Option<Source> {
            self.source.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ChalkSrc {
        const NAME: &'static str = "ChalkSrc";
        type Type = super::ChalkSrc;
        type ParentType = gst_base::BaseSrc;
    }

    impl ObjectImpl for ChalkSrc {
        fn constructed(&self) {
            self.parent_constructed();
            let obj = self.obj();
            obj.set_format(gst::Format::Bytes);
            obj.set_blocksize(64 * 1024);
        }
    }

    impl GstObjectImpl for ChalkSrc {}

    impl ElementImpl for ChalkSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> =
                std::sync::LazyLock::new(|| {
                    gst::subclass::ElementMetadata::new(
                        "Chalkstream source",
                        "Source",
                        "Reads a recording by ranges",
                        "Chalkstream",
                    )
                });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> = std::sync::LazyLock::new(|| {
                gst::PadTemplate::new(
                    "src",
                    gst::PadDirection::Src,
                    gst::PadPresence::Always,
                    &gst::Caps::new_any(),
                )
                .into_iter()
                .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseSrcImpl for ChalkSrc {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            match self.source() {
                Some(_) => Ok(()),
                None => Err(gst::error_msg!(gst::ResourceError::Settings, ["no source was given"])),
            }
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            Ok(())
        }

        fn is_seekable(&self) -> bool {
            true
        }

        fn size(&self) -> Option<u64> {
            self.source().map(|source| source.size_bytes())
        }

        fn create(
            &self,
            offset: u64,
            buffer: Option<&mut gst::BufferRef>,
            length: u32,
        ) -> Result<CreateSuccess, gst::FlowError> {
            let source = self.source().ok_or(gst::FlowError::Error)?;
            let size = source.size_bytes();
            if offset >= size {
                return Err(gst::FlowError::Eos);
            }
            let wanted = u64::from(length).min(size - offset) as usize;
            let failed = |error: std::io::Error| {
                gst::element_imp_error!(
                    self,
                    gst::ResourceError::Read,
                    ("the source could not be read"),
                    ["{error}"]
                );
                gst::FlowError::Error
            };
            if let Some(buffer) = buffer {
                let read = {
                    let mut map = buffer.map_writable().map_err(|_| gst::FlowError::Error)?;
                    let fits = wanted.min(map.len());
                    read_full(source.as_ref(), offset, &mut map[..fits]).map_err(failed)?
                };
                buffer.set_size(read);
                return Ok(CreateSuccess::FilledBuffer);
            }
            let mut bytes = vec![0; wanted];
            let read = read_full(source.as_ref(), offset, &mut bytes).map_err(failed)?;
            if read == 0 {
                return Err(gst::FlowError::Eos);
            }
            bytes.truncate(read);
            let mut made = gst::Buffer::from_mut_slice(bytes);
            if let Some(made) = made.get_mut() {
                made.set_offset(offset);
                made.set_offset_end(offset + read as u64);
            }
            Ok(CreateSuccess::NewBuffer(made))
        }
    }
}

glib::wrapper! {
    /// The source element.
    pub struct ChalkSrc(ObjectSubclass<imp::ChalkSrc>)
        @extends gst_base::BaseSrc, gst::Element, gst::Object;
}

impl ChalkSrc {
    /// An element that reads `source`.
    pub fn new(source: Source) -> Self {
        let made: Self = glib::Object::new();
        *made.imp().source.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
        made
    }
}
