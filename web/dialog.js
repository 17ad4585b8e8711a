// @ts-check
/**
 * All that a sign-in shows, asked for by widget.js when it is wanted: the dialog, the panel, the client. light.js has the
 * same in small, for lines on which this does not arrive.
 */
import { Dialog } from './widget-dialog.js';
import { adoptDrawing } from './widget-drawing.js';
import { Panel } from './widget-panel.js';

export { Dialog, Panel, adoptDrawing };
