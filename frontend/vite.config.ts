import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineConfig } from 'vite';

const entry = (name: string): string => resolve(import.meta.dirname, 'src', `${name}.ts`);

export default defineConfig({
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
    // Cornerstone with vtk.js is one large module by nature; only the case page loads it.
    chunkSizeWarningLimit: 4000,
    rollupOptions: {
      input: Object.fromEntries(['app', 'viewer', 'report'].filter((n) => existsSync(entry(n))).map((n) => [n, entry(n)])),
      output: {
        entryFileNames: 'assets/[name].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name][extname]',
      },
    },
  },
});
