/** Everything that was answered has been heard, and the frame after it drawn. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
