/** The text panel. */
import { renderTextPanelMarkdown, textUtil } from '@grafana/data';
import { type Drawing } from './panel';

export function Words({ options, variables }: Drawing) {
  const content = variables.replace(options.content);
  const html = options.mode === 'html' ? textUtil.sanitize(content) : renderTextPanelMarkdown(content);
  return <div className="markdown-html" style={{ height: '100%', overflow: 'auto' }} dangerouslySetInnerHTML={{ __html: html }} />;
}
