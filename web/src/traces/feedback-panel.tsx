/** What people said about an answer, and the controls to say it: score, label, correction, comment. */
import { ThumbsDown, ThumbsUp } from 'lucide-react'
import { type SubmitEvent, useState } from 'react'
import type { Feedback, Trace } from '../api/types'
import { Ago } from '../format/time'
import { Badge } from '../ui/badge'
import { Button } from '../ui/button'
import { TextAreaField, TextField } from '../ui/field'
import { Card } from '../ui/page'
import { ErrorNote } from '../ui/states'
import { useToast } from '../ui/toast'
import { useGiveFeedback } from './trace-queries'

const NOTHING = { score: null, label: null, correction: null, comment: null }

export function FeedbackPanel({ trace }: { trace: Trace }) {
  const give = useGiveFeedback(trace.id)
  const toast = useToast()
  const [writing, setWriting] = useState(false)
  const myScore = trace.feedback_items.findLast((f) => f.source === 'human' && f.score !== null)?.score ?? null
  const score = (value: number) =>
    give.mutate({ ...NOTHING, score: value }, { onSuccess: () => toast(value > 0 ? 'Marked as good' : 'Marked as bad') })
  return (
    <Card title="Feedback">
      <div className="flex flex-col gap-3">
        <div className="flex flex-wrap gap-2">
          <Button
            aria-pressed={myScore === 1}
            className={myScore === 1 ? 'border-good bg-good-soft' : ''}
            icon={<ThumbsUp className="size-4 text-good" aria-hidden />}
            onClick={() => score(1)}
            disabled={give.isPending}
          >
            Good
          </Button>
          <Button
            aria-pressed={myScore === 0}
            className={myScore === 0 ? 'border-bad bg-bad-soft' : ''}
            icon={<ThumbsDown className="size-4 text-bad" aria-hidden />}
            onClick={() => score(0)}
            disabled={give.isPending}
          >
            Bad
          </Button>
          {!writing && <Button onClick={() => setWriting(true)}>Write a correction</Button>}
        </div>
        {writing && <CorrectionForm trace={trace} onDone={() => setWriting(false)} />}
        {give.isError && !writing && <ErrorNote error={give.error} />}
        {trace.feedback_items.length === 0 ? (
          <p className="text-sm text-ink-2">Nothing yet. A correction becomes the answer that the next dataset version teaches.</p>
        ) : (
          <ul className="flex flex-col divide-y divide-line border-t border-line">
            {trace.feedback_items.toReversed().map((item) => (
              <FeedbackItem key={item.id} item={item} />
            ))}
          </ul>
        )}
      </div>
    </Card>
  )
}

function CorrectionForm({ trace, onDone }: { trace: Trace; onDone: () => void }) {
  const give = useGiveFeedback(trace.id)
  const toast = useToast()
  const [correction, setCorrection] = useState(trace.output ?? '')
  const [label, setLabel] = useState('')
  const [comment, setComment] = useState('')
  const changed = correction.trim() !== '' && correction !== trace.output
  function submit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault()
    give.mutate(
      { score: changed ? 0 : null, correction: changed ? correction : null, label: label.trim() || null, comment: comment.trim() || null },
      {
        onSuccess: () => {
          toast(changed ? 'Correction saved' : 'Feedback saved')
          onDone()
        },
      },
    )
  }
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <TextAreaField
        label="Correct answer"
        rows={4}
        value={correction}
        onChange={(e) => setCorrection(e.target.value)}
        hint="Change it to what the model should have said. The answer is then scored 0."
      />
      <TextField label="Label (optional)" value={label} onChange={(e) => setLabel(e.target.value)} />
      <TextField label="Comment (optional)" value={comment} onChange={(e) => setComment(e.target.value)} />
      {give.isError && <ErrorNote error={give.error} />}
      <div className="flex gap-2">
        <Button type="submit" look="primary" busy={give.isPending} disabled={!changed && !label.trim() && !comment.trim()}>
          Save
        </Button>
        <Button onClick={onDone}>Cancel</Button>
      </div>
    </form>
  )
}

function FeedbackItem({ item }: { item: Feedback }) {
  return (
    <li className="flex flex-col gap-1 py-2.5 text-sm">
      <div className="flex flex-wrap items-center gap-1.5 text-xs text-ink-3">
        {item.score !== null && <Badge tone={item.score >= 0.5 ? 'good' : 'bad'}>score {item.score}</Badge>}
        {item.label && <Badge tone="accent">{item.label}</Badge>}
        <span>
          {item.source}
          {item.by ? `, ${item.by}` : ''}
        </span>
        <Ago at={item.at} />
      </div>
      {item.correction !== null && (
        <p className="rounded bg-bronze-soft px-2 py-1 font-mono text-xs wrap-anywhere whitespace-pre-wrap">{item.correction}</p>
      )}
      {item.comment && <p className="break-words">{item.comment}</p>}
    </li>
  )
}
