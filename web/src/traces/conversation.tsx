/** Messages in order and the answer, each in its role's color. */
import type { Message, Trace } from '../api/types'
import { contentText } from '../format/names'
import { Json } from '../ui/json'

const ROLES: Record<string, string> = {
  system: 'border-line bg-sunken',
  developer: 'border-line bg-sunken',
  user: 'border-line bg-surface',
  assistant: 'border-accent bg-accent-soft',
  tool: 'border-bronze bg-bronze-soft',
}

export function MessageView({ role, text, note }: { role: string; text: string; note?: string }) {
  return (
    <article className={`rounded-lg border px-3.5 py-2.5 ${ROLES[role] ?? 'border-line'}`}>
      <h3 className="mb-1 text-xs font-semibold text-ink-2">
        {role}
        {note && <span className="ml-2 font-normal">{note}</span>}
      </h3>
      <p className="text-sm break-words whitespace-pre-wrap">{text || <span className="text-ink-3">(empty)</span>}</p>
    </article>
  )
}

export function Messages({ messages }: { messages: Message[] }) {
  return (
    <>
      {messages.map((message, i) => (
        <div key={i} className="flex flex-col gap-2">
          <MessageView role={message.role} text={contentText(message.content)} />
          {message.tool_calls ? <Json value={message.tool_calls} label="Tool calls" /> : null}
        </div>
      ))}
    </>
  )
}

export function Conversation({ trace }: { trace: Trace }) {
  const correction = trace.feedback_items.findLast((f) => f.correction !== null)?.correction
  return (
    <div className="flex flex-col gap-3">
      <Messages messages={trace.messages} />
      {trace.output || trace.status === 'ok' ? (
        <MessageView
          role="assistant"
          text={trace.output ?? ''}
          note={trace.status === 'ok' ? 'the answer' : `the answer, ${trace.status}`}
        />
      ) : (
        <p className="rounded-lg border border-bad bg-bad-soft px-3.5 py-2.5 text-sm">
          No answer was given{trace.error_code ? `: ${trace.error_code}` : ''}. The route tab shows what was tried.
        </p>
      )}
      {correction !== undefined && correction !== null && (
        <article className="rounded-lg border border-bronze bg-bronze-soft px-3.5 py-2.5">
          <h3 className="mb-1 text-xs font-semibold text-bronze">correction</h3>
          <p className="text-sm break-words whitespace-pre-wrap">{correction}</p>
        </article>
      )}
    </div>
  )
}
