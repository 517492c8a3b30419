/** Promote and roll back, each saying first what will happen. */
import type { Endpoint, Rollout } from '../api/types'
import { FormDialog } from '../ui/dialog'
import { useToast } from '../ui/toast'
import { useEndRollout, useRollBackEndpoint } from './endpoint-queries'
import { splitText } from './traffic-bar'

export function PromoteDialog({ rollout, onClose }: { rollout: Rollout; onClose: () => void }) {
  const end = useEndRollout(rollout.id)
  const toast = useToast()
  const left = rollout.stages.slice(rollout.stage + 1)
  return (
    <FormDialog
      title={`Promote ${rollout.candidate_name}?`}
      description={
        <>
          All traffic of <strong>{rollout.endpoint}</strong> goes to <strong>{rollout.candidate_name}</strong> from the next request on, and
          the rollout ends.
          {left.length > 0 && ` The stages that are left (${left.join('%, ')}%) are skipped, with the checks that they would have made.`} A
          roll back stays possible.
        </>
      }
      submit="Promote now"
      busy={end.isPending}
      error={end.error}
      onClose={onClose}
      onSubmit={() =>
        end.mutate('promote', {
          onSuccess: () => {
            toast(`${rollout.candidate_name} serves all traffic`)
            onClose()
          },
        })
      }
    />
  )
}

/** With a rollout running, ends it and returns to the baseline; otherwise returns to the generation before. */
export function RollBackDialog({ endpoint, onClose }: { endpoint: Endpoint; onClose: () => void }) {
  const rollBack = useRollBackEndpoint(endpoint.name)
  const toast = useToast()
  const running = endpoint.rollout?.state === 'running' ? endpoint.rollout : null
  const previous = endpoint.history.find((h) => h.generation < endpoint.generation)
  return (
    <FormDialog
      title={`Roll back ${endpoint.name}?`}
      description={
        running ? (
          <>
            The rollout of <strong>{running.candidate_name}</strong> ends, and all traffic goes back to{' '}
            <strong>{running.baseline_name}</strong> from the next request on. Answers under way are finished.
          </>
        ) : (
          <>
            From the next request on, the traffic is split as in generation {previous?.generation ?? '–'} again:{' '}
            <strong>{previous ? splitText(previous.traffic) : '–'}</strong>, instead of {splitText(endpoint.traffic)}. Answers under way are
            finished.
          </>
        )
      }
      submit="Roll back now"
      danger
      busy={rollBack.isPending}
      error={rollBack.error}
      onClose={onClose}
      onSubmit={() =>
        rollBack.mutate(undefined, {
          onSuccess: () => {
            toast(`${endpoint.name} rolled back`)
            onClose()
          },
        })
      }
    />
  )
}
