import type { AllowedComponentProps, VNode, VNodeProps } from 'vue';
import type { MaxAuthButton as Button, MaxAuthPanel as Panel } from './elements.js';
import type { ButtonEvents, ButtonProps, PanelEvents, PanelProps } from './props.js';

interface Own<Props, Element, Method extends keyof Element> {
  new (): {
    $props: Props & VNodeProps & AllowedComponentProps;
    $slots: { default?: () => VNode[] };
    element: Element | null;
  } & Pick<Element, Method>;
}
export declare const MaxAuthButton: Own<ButtonProps & ButtonEvents, Button, 'open' | 'close' | 'focus'>;
export declare const MaxAuthPanel: Own<PanelProps & PanelEvents, Panel, 'start' | 'stop' | 'focus'>;
