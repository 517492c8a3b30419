import { ButtonLink } from '../ui/button'
import { Page } from '../ui/page'
import { Empty } from '../ui/states'

export function NotFoundPage() {
  return (
    <Page title="Nothing here">
      <Empty title="There is no page at this address" action={<ButtonLink to="/">Go to the overview</ButtonLink>}>
        <p>The address may be mistyped, or it belongs to something that was removed.</p>
      </Empty>
    </Page>
  )
}
