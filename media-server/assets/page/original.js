// The picture as the camera made it, in a form (H.265) that not every browser plays: it is offered where this one says
// that it plays it smoothly, beside the stream that all play.

export async function smooth({ content_type, width, height, bandwidth_bps, frame_rate, range }) {
  const video = { contentType: content_type, width, height, bitrate: bandwidth_bps, framerate: frame_rate };
  // A screen without that range shows it wrong.
  if (range !== 'SDR') {
    if (!matchMedia('(dynamic-range: high)').matches) return false;
    Object.assign(video, { transferFunction: range.toLowerCase(), colorGamut: 'rec2020' });
  }
  try {
    const told = await navigator.mediaCapabilities.decodingInfo({ type: 'media-source', video });
    return told.supported && told.smooth;
  } catch {
    return false;
  }
}
