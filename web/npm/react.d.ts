import type { ForwardRefExoticComponent, HTMLAttributes, RefAttributes } from 'react';
import type { MaxAuthButton as Button, MaxAuthPanel as Panel } from './elements.js';
import type { ButtonEvents, ButtonProps, PanelEvents, PanelProps } from './props.js';

type Own<Props, Events, Element> = ForwardRefExoticComponent<
  Props & Events & Omit<HTMLAttributes<HTMLElement>, keyof Props | keyof Events> & RefAttributes<Element>
>;
export declare const MaxAuthButton: Own<ButtonProps, ButtonEvents, Button>;
export declare const MaxAuthPanel: Own<PanelProps, PanelEvents, Panel>;
