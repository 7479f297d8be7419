"""The front door over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.core.http import ANSWERS, Work, allow
from api.enquiries import leads, service
from api.enquiries.schemas import (
    EnquiryAsked,
    EnquiryList,
    EnquiryOut,
    NewAnswer,
    NewEnquiry,
    NewLeadNote,
)


@post("/", guards=[allow("anyone")], responses=ANSWERS)
async def ask(data: JSONBody[NewEnquiry], keyed: NamedDependency[Work]) -> EnquiryAsked:
    """Ask anything: a person answers, and you see by when. In danger now? Ring 999."""
    return await keyed.once(
        EnquiryAsked,
        lambda tx: service.ask(tx, actor=keyed.actor, now=keyed.now, new=data),
        lambda tx, first: service.ask_again(tx, first, now=keyed.now),
    )


@get("/", guards=[allow("role:professional,manager,scheme_worker")], responses=ANSWERS)
async def waiting(
    work: NamedDependency[Work],
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
) -> EnquiryList:
    """What waits for an answer in your areas, the soonest due first."""
    return await work.write(service.waiting, actor=work.actor, cursor=cursor)


@get("/{enquiry_id:uuid}", guards=[allow("signed_in")], responses=ANSWERS)
async def read(enquiry_id: FromPath[UUID], work: NamedDependency[Work]) -> EnquiryOut:
    """One enquiry: what was said, and its clock."""
    return await work.write(service.read, actor=work.actor, now=work.now, enquiry_id=enquiry_id)


@post("/{enquiry_id:uuid}/answers", guards=[allow("signed_in")], responses=ANSWERS)
async def answer(
    enquiry_id: FromPath[UUID], data: JSONBody[NewAnswer], keyed: NamedDependency[Work]
) -> EnquiryOut:
    """Answer, or add a word to what you asked."""
    return await keyed.once(
        EnquiryOut,
        lambda tx: service.answer(
            tx, actor=keyed.actor, now=keyed.now, enquiry_id=enquiry_id, new=data
        ),
        lambda tx, first: service.answer_again(tx, first, enquiry_id=enquiry_id),
    )


@post(
    "/{enquiry_id:uuid}/adult-at-risk",
    guards=[allow("role:professional,manager")],
    responses=ANSWERS,
)
async def adult_at_risk(
    enquiry_id: FromPath[UUID], data: JSONBody[NewLeadNote], keyed: NamedDependency[Work]
) -> EnquiryOut:
    """Write down that the adult at risk was asked what they want, was told, or why not."""
    return await keyed.once(
        EnquiryOut,
        lambda tx: leads.note_for_adult_at_risk(
            tx, actor=keyed.actor, now=keyed.now, enquiry_id=enquiry_id, new=data
        ),
        lambda tx, first: service.answer_again(tx, first, enquiry_id=enquiry_id),
    )


router = Router(
    "/v1/enquiries",
    route_handlers=[ask, waiting, read, answer, adult_at_risk],
    tags=["front door"],
)
