// The same for `import`.
import levada from './index.js';

export const { connect, listen, LevadaError, LevadaStream, Listener, Network, Telsa } = levada;
