//! Why a request is refused, for the log alone: responses do not say whether something exists.

use crate::token::RefusalReason;

/// The reason for a refusal. Operators find it in the event `request refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The response itself has the reason.
    SeeCode,
    /// No route has this address.
    NoRoute,
    /// The tenant has no recording, upload or file of this name.
    UnknownId,
    /// The session is for another recording than its address names.
    OtherRecording,
    /// The recording that a token opens has no manifest.
    NoRecording,
    /// The recording was deleted.
    RecordingDeleted,
    /// The manifest does not have the session's revision any more.
    RevisionGone,
    /// The bandwidth cap removed it from the session's playlists.
    AboveCap,
    /// The window removed it from the session's playlists, or it shows more than the window.
    OutsideWindow,
    /// No playlist of the session names it.
    NotInPlaylists,
    /// The address opens images alone.
    ImagesOnly,
    /// The session's link does not grant to correct the transcript.
    NoRightToCorrect,
    /// The manifest does not name it.
    NotInManifest,
    /// A playlist names a segment that the source index does not have.
    NotInIndex,
    /// Storage does not have the object.
    NotInStorage,
    /// The stream has no video that moves.
    NoMovingVideo,
    /// The tenant has no signing key that is good.
    NoSigningKey,
    /// A token is malformed or was altered, or another key signed it.
    TokenAltered,
    /// No key that is good has the token's key id.
    TokenKeyUnknown,
    /// A token is past its expiry.
    TokenExpired,
    /// The token, its viewer, its recording or its key is revoked.
    TokenRevoked,
    /// The token is good for longer than a token may be.
    TokenLivesTooLong,
    /// The issue time of the token lies in the future.
    TokenIssuedInFuture,
    /// The token is of a version that is no longer accepted.
    TokenOldVersion,
    /// A time of the token is in milliseconds instead of seconds.
    TokenTimeInMs,
}

impl Reason {
    /// The text of the log's field `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SeeCode => "see code",
            Self::NoRoute => "no such route",
            Self::UnknownId => "unknown id",
            Self::OtherRecording => "session is for another recording",
            Self::NoRecording => "no such recording",
            Self::RecordingDeleted => "recording deleted",
            Self::RevisionGone => "revision gone",
            Self::AboveCap => "above the bandwidth cap",
            Self::OutsideWindow => "outside the window",
            Self::NotInPlaylists => "not in the session's playlists",
            Self::ImagesOnly => "images only",
            Self::NoRightToCorrect => "no right to correct",
            Self::NotInManifest => "not in the manifest",
            Self::NotInIndex => "not in the source index",
            Self::NotInStorage => "not in storage",
            Self::NoMovingVideo => "no moving video",
            Self::NoSigningKey => "no signing key",
            Self::TokenAltered => "token malformed or altered",
            Self::TokenKeyUnknown => "token's key unknown or revoked",
            Self::TokenExpired => "token expired",
            Self::TokenRevoked => "token revoked",
            Self::TokenLivesTooLong => "token lives too long",
            Self::TokenIssuedInFuture => "token issued in the future",
            Self::TokenOldVersion => "token of an old version",
            Self::TokenTimeInMs => "token time in milliseconds",
        }
    }
}

impl From<RefusalReason> for Reason {
    fn from(refused: RefusalReason) -> Self {
        match refused {
            RefusalReason::Invalid => Self::TokenAltered,
            RefusalReason::Expired => Self::TokenExpired,
            RefusalReason::Revoked => Self::TokenRevoked,
            RefusalReason::LivesTooLong => Self::TokenLivesTooLong,
            RefusalReason::IssuedInFuture => Self::TokenIssuedInFuture,
            RefusalReason::OldVersion => Self::TokenOldVersion,
            RefusalReason::TimeInMs => Self::TokenTimeInMs,
        }
    }
}
