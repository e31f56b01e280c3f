// Captures of calls: bodies and headers, for an admin who looks for a fault, redacted and for a short time.
export type { CapturedCall } from './captured-calls.ts';
export { type CallCaptures, type CallCapturesParts, createCallCaptures } from './captures.ts';
export { createRecorder, type Recorder, type RecorderParts, type Recording } from './recorder.ts';
