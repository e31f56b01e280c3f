// The look of the connect pages, of a deployment or an integration.
import { z } from '@hono/zod-openapi';
import { logoIssue, themeIssues } from '../domain/theme.ts';
import { shownTextUpTo } from './common.ts';

const Accent = z
  .string()
  .regex(/^#[0-9a-fA-F]{6}$/, 'a colour as #rrggbb')
  .transform((color) => color.toLowerCase());

export const Theme = z
  .strictObject({
    name: shownTextUpTo(60).optional().openapi({ description: 'The name on the pages, also of the app that asks' }),
    logo: z
      .string()
      .superRefine((logo, { addIssue }) => {
        const message = logoIssue(logo);
        if (message !== undefined) addIssue({ code: 'custom', message });
      })
      .optional()
      .openapi({
        description: 'A `data:` URL of a PNG, JPEG, WebP or SVG image, base64, at most 32,768 characters',
        example: 'data:image/png;base64,iVBORw0KGgo=',
      }),
    accent_light: Accent.optional().openapi({
      description: 'Of the button and the mark, as `#rrggbb`. At least 4.5:1 against the page (WCAG 2.2)',
      example: '#0f5a47',
    }),
    accent_dark: Accent.optional().openapi({ description: 'The same in the dark scheme', example: '#7fd6b8' }),
    radius: z.int().min(0).max(24).optional().openapi({ description: 'Of the corners, in pixels' }),
  })
  .superRefine((theme, { addIssue }) => {
    for (const { path, message } of themeIssues('theme', theme))
      addIssue({ code: 'custom', path: path.split('.').slice(1), message });
  })
  .openapi('Theme', {
    description: 'The look of the connect pages. What is left out is as without a theme.',
    example: { name: 'Acme', accent_light: '#0f5a47', accent_dark: '#7fd6b8', radius: 8 },
  });
