// The camera's original video in H.265, which not every browser plays. It is offered if this
// browser says that it plays it smoothly.

export async function smooth({ content_type, width, height, bandwidth_bps, frame_rate, range }) {
  const video = { contentType: content_type, width, height, bitrate: bandwidth_bps, framerate: frame_rate };
  // A screen without that dynamic range shows wrong colours.
  if (range !== 'SDR') {
    if (!matchMedia('(dynamic-range: high)').matches) return false;
    Object.assign(video, { transferFunction: range.toLowerCase(), colorGamut: 'rec2020' });
  }
  try {
    const support = await navigator.mediaCapabilities.decodingInfo({ type: 'media-source', video });
    return support.supported && support.smooth;
  } catch {
    return false;
  }
}
