/** Cornerstone3D without pixels on a screen: image loads as its cache shares them, and a viewport that shows what it
 * has loaded at one CSS pixel per image pixel and, like the real one on WebGL, keeps quiet about failures. */

interface Image {
  imageId: string;
  getPixelData(): ArrayLike<number>;
}
type Loader = (imageId: string) => { promise: Promise<Image> };

const loaders = new Map<string, Loader>();
const loads = new Map<string, Promise<Image>>();
/** By viewport id, those that are enabled now. */
export const enabledViewports = new Map<string, FakeViewport>();
/** The width and height of every viewport. */
export const viewportSize = { width: 2, height: 4 };

export const imageLoader = {
  registerImageLoader: (scheme: string, loader: Loader): void => {
    loaders.set(scheme, loader);
  },
  loadAndCacheImage: (imageId: string): Promise<Image> => {
    const shared = loads.get(imageId);
    if (shared) return shared;
    const { promise } = (loaders.get(imageId.split(':')[0] ?? '') as Loader)(imageId);
    loads.set(imageId, promise);
    promise.catch(() => loads.delete(imageId));
    return promise;
  },
};

class FakeViewport {
  image: Image | undefined;
  /** The viewport's own copy of the picture, as on WebGL. */
  drawn = new Uint8Array();
  zoom = 1;
  pan: [number, number] = [0, 0];
  private stack: string[] = [];
  private index = 0;

  async setStack(stack: string[], index: number): Promise<void> {
    this.stack = stack;
    await this.setImageIdIndex(index);
  }

  async setImageIdIndex(index: number): Promise<void> {
    this.index = index;
    try {
      const image = await imageLoader.loadAndCacheImage(this.stack[index] as string);
      if (this.index !== index) return;
      this.image = image;
      this.drawn = Uint8Array.from(image.getPixelData());
    } catch {
      // As on WebGL.
    }
  }

  worldToCanvas([x, y]: [number, number]): [number, number] {
    // Without a size there is no place on the screen.
    const scale = viewportSize.width > 0 && viewportSize.height > 0 ? this.zoom : NaN;
    return [(x + 0.5) * scale + this.pan[0], (y + 0.5) * scale + this.pan[1]];
  }

  getImageData = (): unknown =>
    this.image && {
      imageData: {
        getPointData: () => ({ getScalars: () => ({ getData: () => this.drawn }) }),
        modified: () => undefined,
      },
    };
  getCornerstoneImage = (): Image | undefined => this.image;
  getZoom = (): number => this.zoom;
  getPan = (): [number, number] => this.pan;
  getProperties = (): object => ({ voiRange: { lower: 0, upper: 255 } });
  setZoom(zoom: number): void {
    this.zoom = zoom;
  }
  setPan(pan: [number, number]): void {
    this.pan = pan;
  }
  setProperties(): void {}
  resetProperties(): void {}
  camera: { flipHorizontal?: boolean } = {};
  setCamera(camera: { flipHorizontal?: boolean }): void {
    this.camera = { ...this.camera, ...camera };
  }
  resetCamera(): void {
    this.camera = {};
  }
  render(): void {}
}

export class RenderingEngine {
  enableElement({ viewportId }: { viewportId: string }): void {
    enabledViewports.set(viewportId, new FakeViewport());
  }
  disableElement(viewportId: string): void {
    enabledViewports.delete(viewportId);
  }
  getViewport = (viewportId: string): FakeViewport | undefined => enabledViewports.get(viewportId);
  resize(): void {}
}

export const Enums = {
  ViewportType: { STACK: 'stack' },
  Events: { IMAGE_RENDERED: 'rendered', CAMERA_MODIFIED: 'camera', STACK_NEW_IMAGE: 'new-image' },
  VOILUTFunctionType: { LINEAR_EXACT: 'linear' },
};
export const init = (): void => undefined;
type Provider = (type: string, imageId: string) => unknown;
const providers: Provider[] = [];
export const metaData = {
  addProvider: (provider: Provider): void => void providers.push(provider),
  get: (type: string, imageId: string): unknown => providers.at(-1)?.(type, imageId),
};
export const cache = { setMaxCacheSize: (): void => undefined };
export const getShouldUseCPURendering = (): boolean => false;
