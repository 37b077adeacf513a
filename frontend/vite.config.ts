import { resolve } from 'node:path';
import { type Plugin, defineConfig } from 'vite';

const entry = (name: string): string => resolve(import.meta.dirname, 'src', `${name}.ts`);

/** OpenSeadragon adds a style sheet of one rule to the page, which the content security policy refuses. The rule
 * stands in viewer.css instead. */
const withoutInlineStyle: Plugin = {
  name: 'openseadragon-without-inline-style',
  transform(code, id) {
    if (!/openseadragon[/\\][^?]*openseadragon\.m?js/.test(id)) return null;
    const guard = "if (!document.querySelector('style[data-openseadragon-mobile-css]'))";
    if (!code.includes(guard)) this.error('OpenSeadragon no longer adds its style sheet as expected: look anew');
    return { code: code.replace(guard, 'if (false)'), map: null };
  },
};

export default defineConfig({
  plugins: [withoutInlineStyle],
  // Relative, so that the same build works under any STATIC_URL.
  base: './',
  publicDir: false,
  resolve: {
    // vtk.js and dcmjs ask for these Node modules by their bare names.
    alias: { events: 'events/', path: 'path-browserify', url: 'url/' },
  },
  worker: { format: 'es' },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    cssCodeSplit: true,
    modulePreload: false,
    // Every file packed once more, for a number in the terminal.
    reportCompressedSize: false,
    // Cornerstone with vtk.js is one large module by nature; only the case page loads it.
    chunkSizeWarningLimit: 4000,
    rollupOptions: {
      input: { app: entry('app'), viewer: entry('viewer'), report: entry('report') },
      output: {
        // What an entry shares with a chunk must lie outside the entry: the page names entries by their hash, a chunk
        // that imported one by its plain name would run it a second time.
        advancedChunks: {
          groups: [
            {
              name: 'shared',
              test: /\/src\/(server\/(client|connection)|session\/session|journal\/(outgoing|storage|tab)|viewer\/(annotation_layer|calibration|edit_box|frame|geometry|hanging|heatmap|label_layout|marks|overlay|pane|pixels|svg)|page\/(case_events|embedded|keyboard))\.ts$/,
            },
          ],
        },
        entryFileNames: 'assets/[name].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name][extname]',
      },
    },
  },
});
