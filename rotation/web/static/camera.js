// Scanning by the camera: the browser's own reader where it has one, else a packaged one that is fetched when the camera is opened.
const FORMATS = ["qr_code", "code_128", "code_39", "codabar", "ean_13", "data_matrix"];
const PACKAGED = ["QRCode", "Code128", "Code39Std", "Codabar", "EAN13", "DataMatrix"]; // "Code39" would read its full-ASCII variant
const AGAIN_MS = 2500; // the same code stays in the picture for a while: it is one scan
const LOOK_MS = 120;

async function ownReader() {
  const known = await globalThis.BarcodeDetector?.getSupportedFormats?.().catch(() => []) ?? [];
  const formats = FORMATS.filter((format) => known.includes(format));
  if (!formats.includes("qr_code") || !formats.includes("code_128")) return null; // those of our labels
  const detector = new BarcodeDetector({ formats });
  return async (video) => (await detector.detect(video)).map((one) => one.rawValue);
}

async function packagedReader() {
  await new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: "/assets/zxing/iife/reader/index.js", onload: resolve, onerror: reject });
    document.head.append(script);
  });
  const locateFile = (path) => `/assets/zxing/reader/${path}`;
  ZXingWASM.prepareZXingModule({ overrides: { locateFile } });
  const canvas = document.createElement("canvas"), drawn = canvas.getContext("2d", { willReadFrequently: true });
  return async (video) => {
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    drawn.drawImage(video, 0, 0);
    const picture = drawn.getImageData(0, 0, canvas.width, canvas.height);
    const found = await ZXingWASM.readBarcodes(picture, { formats: PACKAGED, textMode: "Plain", maxNumberOfSymbols: 1 });
    return found.filter((one) => one.isValid).map((one) => one.text);
  };
}

let reader;

// Open the camera for a form until the dialog is closed; each code that comes into the picture is sent once.
export async function open(form, dialog) {
  const video = dialog.querySelector("video"), words = dialog.querySelector("[data-said]");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
  dialog.showModal();
  video.srcObject = stream;
  let last = "", at = 0;
  try {
    await video.play();
    reader ??= await ownReader() ?? await packagedReader();
    while (dialog.open) {
      const [code] = video.videoWidth ? await reader(video).catch(() => []) : [];
      if (code && (code !== last || Date.now() - at > AGAIN_MS)) {
        form.querySelector("input[name=code]:not([type=hidden])").value = code;
        words.textContent = code;
        form.requestSubmit();
        last = code;
      }
      if (code) at = Date.now();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    if (dialog.open) dialog.close();
  }
}
